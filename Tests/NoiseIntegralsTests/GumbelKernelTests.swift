import CKernels
import CStandardLibrary
import RoutingCore
import Testing
import _TestSupport

@testable import NoiseIntegrals

/// The kernels against scalar twins written from the formulas, and the exponential sums against what they stand for.
@Suite(.seeded) struct GumbelKernelTests {
  /// φ, r and r² for one expert, s and node of m.
  private func tables(
    logRate: Double, exponent: Double, s: Double, firstZ: Double, step: Double, weights: [Double]
  ) -> (phi: Double, r: Double, r2: Double) {
    var sums = (0.0, 0.0, 0.0)
    for (k, weight) in weights.enumerated() {
      let t = firstZ + step * Double(k) - logRate
      let w = exp(-exponent * (max(t, 0) + log1p(exp(-t.magnitude))))
      let term = weight * exp(-s * w)
      sums.0 += term
      sums.1 += term * w
      sums.2 += term * w * w
    }
    return (sums.0, sums.1 / sums.0, sums.2 / sums.0)
  }

  @Test(arguments: [0.1, 1, 20])
  func kernelsAgreeWithTheirTwins(_ exponent: Double) throws {
    let n = 3
    let width = 16
    let step = 0.3
    let firstZ = -150.0
    let logRates = [-0.05, -3.2, -40]
    let rates = logRates.map { exp($0) }
    let logM = -0.7
    let s = (0..<width).map { exp(-3 + 0.4 * Double($0)) }
    let raw = (0...Int((4.2 - firstZ) / step)).map { k -> Double in
      let z = firstZ + step * Double(k)
      return exp(z - exp(z))
    }
    let total = raw.reduce(0, +)
    let weights = raw.map { $0 / total }
    var sum = 0.0
    let below = weights.map { weight -> Double in
      defer { sum += weight }
      return sum
    }
    func zeros(_ count: Int) -> [Double] { [Double](repeating: 0, count: count) }
    var logPhi = zeros(n * width)
    var r = logPhi
    var r2 = logPhi
    var c = logPhi
    var points = zeros(2 * (weights.count + 2))
    rg_gumbel_tables(
      n, logRates, [0, 1, 2], logM, exponent, 1e-20, weights.count, firstZ, step, weights, below, width, s,
      &points,
      &logPhi, &r, &r2, &c)
    for l in 0..<n {
      for q in 0..<width {
        let twin = tables(
          logRate: logRates[l] + logM, exponent: exponent, s: s[q], firstZ: firstZ, step: step,
          weights: weights)
        let e = l * width + q
        #expect((logPhi[e] - log(twin.phi)).magnitude <= 1e-14 * (1 + log(twin.phi).magnitude))
        expectClose([r[e]], [twin.r], relative: 1e-13)
        expectClose([r2[e]], [twin.r2], relative: 1e-13)
        expectClose([c[e]], [twin.r2 - twin.r * twin.r], relative: 1e-12, scale: twin.r2)
      }
    }

    var generator = TestSeed.generator("kernelsAgreeWithTheirTwins")
    var u = (0..<n * n).map { _ in 2 * generator.nextOpenUnit() - 1 }
    for i in 0..<n { u[i * n + i] = 0 }
    let square = (0..<width).map { _ in generator.nextOpenUnit() }
    let fourth = (0..<width).map { _ in generator.nextOpenUnit() }
    var scratch = zeros((3 + Int(RG_GUMBEL_VECTORS) * n) * width)
    var workspace = zeros((8 * n + 1) * width)
    var means = zeros(n * n)
    var seconds = zeros(n)
    var products = zeros(n * n)
    rg_gumbel_moments(n, width, rates, u, square, fourth, -1.3, logPhi, r, r2, c, &scratch, &means, &seconds)
    rg_gumbel_products(n, width, u, r, c, scratch, &workspace, &products)

    var expectedMeans = zeros(n * n)
    var expected = Matrix(rows: n, columns: n)
    for i in 0..<n {
      for q in 0..<width {
        func ratio(_ l: Int) -> Double { l == i ? 1 : r[l * width + q] }
        func spread(_ l: Int) -> Double { l == i ? 0 : c[l * width + q] }
        func ratio2(_ l: Int) -> Double { l == i ? 1 : r2[l * width + q] }
        var a = 0.0
        var b = 0.0
        var t = [0.0, 0, 0]
        var exponentSum = -1.3
        for l in 0..<n {
          let x = u[i * n + l]
          a += ratio(l)
          b += ratio(l) * x
          for power in 0..<3 { t[power] += spread(l) * pow(x, Double(power)) }
          if l != i { exponentSum += logPhi[l * width + q] }
        }
        let first = exp(exponentSum) * square[q]
        let second = exp(exponentSum) * fourth[q] * rates[i]
        for j in 0..<n {
          let uj = u[i * n + j]
          expectedMeans[i * n + j] += first * ratio(j) * (uj * a - b)
          for k in 0..<n {
            let uk = u[i * n + k]
            if j == k {
              let square = (uj * a - b) * (uj * a - b)
              expected[j, j] += second * ratio2(j) * (t[0] * uj * uj - 2 * t[1] * uj + t[2] + square)
              continue
            }
            let d = uj - uk
            let x = a * uj - b - ratio(k) * d
            let y = a * uk - b + ratio(j) * d
            let z = t[0] * uj * uk - t[1] * (uj + uk) + t[2]
            let mixed = ratio(j) * ratio2(k) * y - ratio2(j) * ratio(k) * x - d * ratio2(j) * ratio2(k)
            expected[j, k] += second * (d * mixed + ratio(j) * ratio(k) * (z + x * y))
          }
        }
      }
    }
    expectClose(means, expectedMeans, relative: 1e-13)
    expectClose(seconds, (0..<n).map { expected[$0, $0] }, relative: 1e-13)
    for j in 0..<n {
      for k in (j + 1)..<max(n, j + 1) {
        expectClose([products[j * n + k]], [expected[j, k]], relative: 1e-12, scale: seconds.max() ?? 0)
      }
    }
  }

  @Test(arguments: [2, 3, 5, 16, 33, 128, 1000])
  func exponentialSumsAreTheirPowers(_ largest: Int) throws {
    let sums = try ExponentialSum(upTo: largest)
    #expect(sums.nodes.count % 8 == 0 && sums.nodes.count <= 56)
    #expect(sums.squareError <= 5e-14 && sums.fourthError <= 5e-14)
    var generator = TestSeed.generator("exponentialSumsAreTheirPowers \(largest)")
    for _ in 0..<200 {
      let point = pow(Double(largest), generator.nextOpenUnit())
      var square = CompensatedSum()
      var fourth = CompensatedSum()
      for (q, s) in sums.nodes.enumerated() {
        square += sums.squareWeights[q] * exp(-s * (point - 1))
        fourth += sums.fourthWeights[q] * exp(-s * (point - 1))
      }
      #expect((square.value * point * point - 1).magnitude <= 1.1 * sums.squareError)
      #expect((fourth.value * pow(point, 4) - 1).magnitude <= 1.1 * sums.fourthError)
    }
  }
}
