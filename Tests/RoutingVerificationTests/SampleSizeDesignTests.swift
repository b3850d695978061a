import Foundation
import RoutingVerification
import Testing

@Suite struct SampleSizeDesignTests {
  static let designs = [1, 8, 64].flatMap { n in
    [(1.0, 2.0), (0.1, 1.0), (0.0, 1.0), (3.0, 6.5)].flatMap { deviation, range in
      [0.0, 1e-3].map { tolerance in
        SampleSizeDesign(coordinates: n, deviation: deviation, range: range, tolerance: tolerance)
      }
    }
  }

  /// The two functions are each other's inverse, up to the integer ceiling.
  @Test(arguments: designs)
  func invert(_ design: SampleSizeDesign) {
    for bias in [0.005, 0.05, 0.5] {
      let n = design.requiredSamples(toDetect: bias)
      #expect(design.detectableBias(samples: n) <= bias * (1 + 1e-12))
      if n > 1 { #expect(design.detectableBias(samples: n - 1) > bias) }
    }
    for n in [1, 10, 1000, 1_000_000] {
      let bias = design.detectableBias(samples: n)
      #expect([n, n + 1].contains(design.requiredSamples(toDetect: bias)), "\(n)")
    }
  }

  /// Tighter rates, smaller biases, more coordinates and larger tolerances need more samples.
  @Test func monotone() {
    let base = SampleSizeDesign(coordinates: 4, deviation: 1, range: 3)
    func samples(_ change: (inout SampleSizeDesign) -> Void) -> Int {
      var design = base
      change(&design)
      return design.requiredSamples(toDetect: 0.1)
    }
    let n = samples { _ in }
    #expect(samples { $0.coordinates = 8 } > n)
    #expect(samples { $0.deviation = 2 } > n)
    #expect(samples { $0.range = 4 } > n)
    #expect(samples { $0.tolerance = 0.01 } > n)
    #expect(samples { $0.share = 0.5 } > n)
    #expect(samples { $0.rates.falseFail = 1e-9 } > n)
    #expect(samples { $0.rates.falsePass = 1e-6 } > n)
    #expect(base.requiredSamples(toDetect: 0.05) > 2 * n)
    #expect(base.requiredSamples(toDetect: 1e-300) == .max)
  }

  /// Against the formula, worked out by hand: N = 1, σ = 1, R = 0, α = 4e-6·…, so that ℓ = log(4e6).
  @Test func formula() {
    let design = SampleSizeDesign(
      coordinates: 1, deviation: 1, range: 0, rates: ErrorRates(falseFail: 1e-6, falsePass: 0.1))
    // z_{0.05} = 1.6448536269514722, ℓ = log 4e6 = 15.201804919084164; (z + √(z² + 2ℓ))² = 54.6… of which
    let z = 1.6448536269514722
    let root = z + (z * z + 2 * 15.201804919084164).squareRoot()
    #expect(design.requiredSamples(toDetect: 1) == Int((root * root).rounded(.up)))
  }

  /// Rates that 1 cannot be told from when they are taken off it: z of half the rate by mpmath, N = 1, R = 0, ℓ = log 4e6.
  @Test(arguments: [(1e-3, 3.290526731491894793), (1e-17, 8.573944076720882756), (1e-300, 37.065787880772130394)])
  func smallRates(falsePass: Double, z: Double) {
    let design = SampleSizeDesign(
      coordinates: 1, deviation: 1, range: 0, rates: ErrorRates(falseFail: 1e-6, falsePass: falsePass))
    func root(_ depth: Double) -> Double { z + (z * z + 2 * depth).squareRoot() }
    let needed = max(root(15.201804919084164), root(log(2 / falsePass)))
    #expect((design.detectableBias(samples: 1_000_000) / (needed / 1000) - 1).magnitude < 1e-12)
  }
}
