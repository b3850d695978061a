import CStandardLibrary
import Testing
import _TestSupport

@testable import RoutingCore

private let worst = WorstError("log cosh")

/// The scalar formulas against high precision, and the vectorised kernel against the scalar formulas.
@Suite(.seeded, .reporting(worst)) struct LogCoshTests {
  @Test func scalarAgreesWithHighPrecision() throws {
    let references = try SpecialValues.shared.get().logCosh
    #expect(references.count == 67)
    let f = try LogCosh(scales: [1], targets: [0])
    for reference in references {
      let x = reference.x
      worst.record(
        ulps(from: LogCosh.logCosh(x), to: reference.value.value), of: "scalar value, ulps", at: "\(x)")
      expectClose(LogCosh.logCosh(x), reference.value.value, ulps: 4, "log cosh \(x)")
      expectClose(LogCosh.logCosh(-x), reference.value.value, ulps: 4, "log cosh \(-x)")
      expectClose(f.gradient(at: [x])[0], reference.slope.value, ulps: 2, "tanh \(x)")
    }
  }

  /// The kernel's own accuracy, with exact arguments (a = r = p = 1, t = 0): every node by itself, and the
  /// three together.
  @Test func kernelAgreesWithHighPrecision() throws {
    let f = try LogCosh(scales: [1], targets: [0])
    for reference in try SpecialValues.shared.get().logCosh where reference.x.magnitude < 1e300 {
      for x in [reference.x, -reference.x] {
        for nodes in [[1], [1, 0.5, 1.0 / 3]] {
          let samples = f.rays(RayBundle(directions: [x], multipliers: [1], nodes: nodes))
          // The value behaves as x² near 0 and is asked for to a few ulps as long as it is a normal number.
          if reference.value.value > 1e-300 {
            worst.record(
              ulps(from: samples.values[0], to: reference.value.value), of: "kernel value, ulps",
              at: "\(x) \(nodes)")
            expectClose(samples.values[0], reference.value.value, ulps: 8, "log cosh \(x), nodes \(nodes)")
          } else {
            expectClose(
              samples.values[0], reference.value.value, within: 1e-300, "log cosh \(x), nodes \(nodes)")
          }
          // The slope along r = x is x tanh x, which is even.
          let slope = reference.x * reference.slope.value
          if slope > 1e-300 {
            worst.record(
              ulps(from: samples.slopes[0], to: slope), of: "kernel slope, ulps", at: "\(x) \(nodes)")
            expectClose(samples.slopes[0], slope, ulps: 8, "slope at \(x), nodes \(nodes)")
          } else {
            expectClose(samples.slopes[0], slope, within: 1e-300, "slope at \(x), nodes \(nodes)")
          }
        }
      }
    }
  }

  /// What rounding may do to a sum over coordinates: a few ulps of every term, and of every term's argument
  /// times its derivative there, because `x = a r p c − t` may cancel.
  private func compare(
    _ f: LogCosh, _ bundle: RayBundle, ulps allowed: Double = 8, _ place: String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let samples = f.rays(bundle)
    let width = f.dimension
    for i in 0..<bundle.experts {
      for (k, node) in ([1.0] + bundle.nodes).enumerated() {
        var (sum, slack) = (CompensatedSum(), 0.0)
        for j in 0..<width {
          let r = bundle.directions[i * width + j]
          let y = f.scales[j] * r * (node * bundle.multipliers[i])
          let x = y - f.targets[j]
          let argument = y.magnitude + f.targets[j].magnitude
          let sech = 1 / cosh(min(x.magnitude, 700))
          if k == 0 {
            sum += LogCosh.logCosh(x)
            slack += LogCosh.logCosh(x) + tanh(x).magnitude * argument + .ulpOfOne * argument * argument
          } else {
            let ar = f.scales[j] * r
            sum += ar * tanh(x)
            slack += (ar * tanh(x)).magnitude + (ar * sech * sech).magnitude * argument
          }
        }
        let ours = k == 0 ? samples.values[i] : samples.slopes[(k - 1) * bundle.experts + i]
        let unit = max(slack * .ulpOfOne, .leastNormalMagnitude)
        worst.record(
          (ours - sum.value) / unit,
          of: k == 0 ? "kernel against twin, value, ε" : "kernel against twin, slope, ε",
          at: place)
        expectClose(
          ours, sum.value, within: allowed * unit,
          "\(place), expert \(i), \(k == 0 ? "value" : "node \(node)"), width \(width)",
          sourceLocation: sourceLocation)
      }
    }
  }

  static let three = [1, 0.5, 1.0 / 3]

  /// Every width through the first tiles and their tails, with the shared nodes and with others.
  @Test func widths() throws {
    var generator = TestSeed.generator("log cosh widths")
    for width in Array(1...72) + [127, 128, 129, 255, 256, 257, 264, 300, 511, 512, 513] {
      let f = try LogCosh(scales: generator.normals(width, spread: 1.5), targets: generator.normals(width))
      let directions = generator.normals(2 * width)
      for nodes in [Self.three, [0.75, 0], []] {
        compare(
          f, RayBundle(directions: directions, multipliers: [0.6, 0.05], nodes: nodes),
          "width \(width) \(nodes)")
      }
    }
  }

  static let third = 1.0 / 3
  static let nodeLists: [[Double]] = [
    [1], [0.5], [third], [1, 0.5], [third, 0.5, 1], [1, third], [0, 0.5, 1], [1, 0.5, third, 0],
    [0.046910077030668, 0.5, 0.953089922969332, 1], [1, 0.5, 0.333_299_994_468_688_96],
  ]

  @Test(arguments: nodeLists)
  func nodes(_ nodes: [Double]) throws {
    var generator = TestSeed.generator("log cosh nodes")
    let f = try LogCosh(scales: generator.normals(19), targets: generator.normals(19))
    compare(
      f,
      RayBundle(directions: generator.normals(5 * 19), multipliers: [0.5, 0.3, 0.15, 0.05, 0], nodes: nodes),
      "nodes \(nodes)")
  }

  /// Exponents on both sides of where the shared exponential gives way, and far beyond.
  @Test(arguments: [
    1e-300, 1e-160, 1e-20, 1e-9, 1e-4, 1, 4, 12, 14, 20, 35, 41, 60, 120, 500, 2000, 1e6, 1e150,
  ])
  func scales(_ size: Double) throws {
    var generator = TestSeed.generator("log cosh scales \(size)")
    for targets in [0, 1, 30, 45, 1000] as [Double] {
      let width = 21
      let f = try LogCosh(
        scales: generator.normals(width), targets: generator.normals(width, spread: targets))
      let directions = generator.normals(2 * width, spread: size)
      for nodes in [Self.three, [1], [0.25, 1]] {
        compare(
          f, RayBundle(directions: directions, multipliers: [0.7, 0.3], nodes: nodes),
          "size \(size), targets \(targets)")
      }
    }
  }

  /// Arguments that all but cancel, `a r p ≈ t`, with targets of both signs: `exp(2 a r p) exp(−2 t) − 1` must not be
  /// formed from terms that are larger than the result.
  @Test(arguments: [-19, -10, -3, -0.5, 0.5, 3, 10, 19])
  func cancellation(_ target: Double) throws {
    for scale in [-1.75, 0.5] {
      for distance in [0, 1e-9, -1e-4, 0.03, -0.5, 1.5, -4] {
        let f = try LogCosh(scales: [scale], targets: [target])
        compare(
          f, RayBundle(directions: [(target + distance) / scale / 0.6], multipliers: [0.6], nodes: Self.three),
          "target \(target), distance \(distance)")
      }
    }
  }

  /// One coordinate too large for the shared exponential, among many that are not.
  @Test func oneLargeCoordinate() throws {
    for place in [0, 7, 8, 255, 256, 300] {
      var generator = TestSeed.generator("log cosh one large \(place)")
      let width = 301
      let f = try LogCosh(scales: [Double](repeating: 1, count: width), targets: generator.normals(width))
      var directions = generator.normals(3 * width)
      directions[width + place] = 5e3
      compare(
        f, RayBundle(directions: directions, multipliers: [0.4, 0.35, 0.25], nodes: Self.three),
        "large at \(place)")
    }
  }

  @Test func targetsAreMet() throws {
    // x = 0 exactly at c = 1.
    let f = try LogCosh(scales: [2, 4], targets: [1, -1])
    let samples = f.rays(RayBundle(directions: [1, -0.5], multipliers: [0.5], nodes: Self.three))
    expectClose(samples.values[0], 0, within: 1e-30)
    expectClose(samples.slopes[0], 0, within: 4e-15)
    compare(f, RayBundle(directions: [1, -0.5], multipliers: [0.5], nodes: Self.three), "targets met")
  }

  @Test func noCoordinates() throws {
    let f = try LogCosh(scales: [], targets: [])
    let samples = f.rays(RayBundle(directions: [], multipliers: [0.5, 0.5], nodes: Self.three))
    #expect(samples.values == [0, 0] && samples.slopes.allSatisfy { $0 == 0 } && samples.slopes.count == 6)
  }
}
