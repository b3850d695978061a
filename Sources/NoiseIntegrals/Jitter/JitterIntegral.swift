import CStandardLibrary
import RoutingCore
import RoutingEstimators
import RoutingExpectations

/// The integrals of ``JitterExpectation`` by products of one-dimensional ones, for any number of experts.
struct JitterIntegral: Sendable {
  let race: JitteredLogits
  let expansion: RayExpansion

  /// How fine the quadrature is.
  struct Resolution: Sendable {
    /// The largest length of a panel, in units of the logits.
    var length = 2.0
    /// What the numbers of points are multiplied by.
    var refinement = 1.0
  }

  /// The sums over panels; merged in order, so that the result does not depend on the number of threads.
  struct Sums: Sendable {
    /// `E ĝ`, `E ĝ²`, the boundary term, `E G − G(0)`, `E ĝ_kĝ_l` for k < l, without scales.
    var means: [Double]
    var seconds: [Double]
    var boundary: [Double]
    var value = 0.0
    var products: [Double]

    init(experts: Int, covariance: Bool) {
      means = [Double](repeating: 0, count: experts)
      seconds = means
      boundary = means
      products = [Double](repeating: 0, count: covariance ? experts * experts : 0)
    }

    mutating func add(_ other: Sums) {
      value += other.value
      for k in means.indices {
        means[k] += other.means[k]
        seconds[k] += other.seconds[k]
        boundary[k] += other.boundary[k]
      }
      for k in products.indices { products[k] += other.products[k] }
    }

    /// The same with the moments of ĝ divided by a power of two.
    func divided(by unit: Double) -> Sums {
      guard unit != 1 else { return self }
      var result = self
      result.means = means.map { $0 / unit }
      result.seconds = seconds.map { $0 / unit }
      result.products = products.map { $0 / unit }
      return result
    }

    /// What is known of the errors: the difference from a coarser quadrature, the expansions' residuals, and
    /// rounding.
    func errors(coarse: Sums, residuals: Sums) -> Sums {
      func errors(_ a: [Double], _ b: [Double], _ residuals: [Double], scale: Double) -> [Double] {
        a.indices.map { (a[$0] - b[$0]).magnitude + residuals[$0].magnitude + 0x1p-46 * scale }
      }
      let square = seconds.reduce(0) { max($0, $1) }
      let jump = boundary.reduce(0) { max($0, $1.magnitude) }
      var result = self
      result.means = errors(means, coarse.means, residuals.means, scale: square.squareRoot())
      result.seconds = errors(seconds, coarse.seconds, residuals.seconds, scale: square)
      result.products = errors(products, coarse.products, residuals.products, scale: square)
      result.boundary = errors(boundary, coarse.boundary, residuals.boundary, scale: jump)
      result.value = (value - coarse.value).magnitude + residuals.value.magnitude + 0x1p-46 * value.magnitude
      return result
    }
  }

  /// One-dimensional expectations over `x_l < t`, for one t: row-major `[experts][terms]`.
  ///
  /// With `w = e^{x − t}` and `f = e^{κw}`: `E f`, `E w f`, `E w² f`, `E wu f`, `E w²u² f`, `E w²u f`.
  struct Tables {
    var one, w, ww, wu, wwuu, wwu: [Complex]

    init(count: Int) {
      one = [Complex](repeating: Complex(), count: count)
      (w, ww, wu, wwuu, wwu) = (one, one, one, one, one)
    }

    /// Sets the terms of an expert to 0.
    mutating func clear(_ terms: Range<Int>) {
      for term in terms {
        one[term] = Complex()
        w[term] = Complex()
        ww[term] = Complex()
        wu[term] = Complex()
        wwuu[term] = Complex()
        wwu[term] = Complex()
      }
    }
  }

  /// A number with nilpotent parts: products over l of `E[f (1 + ε w + ε² w²/2)] + δ q_l (α_l, β_l, 1, γ_l)`
  /// collect, in the coefficients of ε, ε² and of each δ, the sums over l (over pairs) of products that
  /// leave one factor (two) special.
  struct Jet {
    var base = Complex(re: 1)
    var first = Complex()
    var second = Complex()
    var slope = Complex()
    var square = Complex()
    var density = Complex()
    var value = Complex()

    static func * (a: Jet, b: Jet) -> Jet {
      Jet(
        base: a.base * b.base, first: a.first * b.base + a.base * b.first,
        second: a.second * b.base + a.first * b.first + a.base * b.second,
        slope: a.slope * b.base + a.base * b.slope, square: a.square * b.base + a.base * b.square,
        density: a.density * b.base + a.base * b.density, value: a.value * b.base + a.base * b.value)
    }
  }

  /// A value t of the winner, with its weight in the integral.
  struct Node {
    var z: Double
    var weight: Double
    /// The experts' densities at t, and `E u`, `E u²` if they are there.
    var densities: [Double]
    var factors: [Double]
    var squares: [Double]
    /// What the boundary term's density is divided by; infinite where there is none.
    var slope: Double
    /// Where jitter spans much more than w, the places of the experts relative to t.
    var reaches: [Reach] = []
  }

  /// The integrals, and what the residuals of the expansions may add to each; nil if they were called off.
  ///
  /// - Parameters:
  ///   - evaluations: counts the nodes in t.
  ///   - continuing: told how many there were; false calls the integrals off.
  func evaluate(
    _ resolution: Resolution, covariance: Bool, threads: Int, evaluations: inout Int,
    continuing: (_ evaluations: Int) -> Bool
  ) -> (sums: Sums, residuals: Sums)? {
    let nodes = nodes(resolution)
    let size = 16
    let blocks = (nodes.count + size - 1) / size
    let rule = QuadratureRule.gaussLegendre(innerPoints(resolution))
    let whole = isWide ? self.whole(rule: rule, length: resolution.length) : Tables(count: 0)
    let before = evaluations
    func isWanted(_ done: Int) -> Bool { continuing(before + done * size) }
    let parts = parallelMap(0..<blocks, threads: threads, continuing: isWanted) { block in
      var sums = Sums(experts: race.experts, covariance: covariance)
      var residuals = sums
      var tables = Tables(count: race.experts * expansion.terms)
      for node in nodes[block * size..<min((block + 1) * size, nodes.count)] {
        for l in 0..<race.experts {
          if node.reaches.isEmpty {
            fill(&tables, expert: l, at: node.z, rule: rule, length: resolution.length)
          } else {
            fill(&tables, expert: l, node.reaches[l], whole: whole, rule: rule, length: resolution.length)
          }
        }
        for term in 0..<expansion.terms {
          accumulate(node, tables, term: term, residual: false, covariance: covariance, into: &sums)
        }
        accumulate(node, tables, term: 0, residual: true, covariance: covariance, into: &residuals)
      }
      return (sums, residuals)
    }
    guard let parts else { return nil }
    evaluations += nodes.count
    var total = parts[0]
    for part in parts.dropFirst() {
      total.0.add(part.0)
      total.1.add(part.1)
    }
    return (total.0.divided(by: unit), total.1.divided(by: unit))
  }

  func nodes(_ resolution: Resolution) -> [Node] {
    if let certain = race.certain {
      // The jitter of a winning zero still enters its own gradient: E u = 1, E u² = 1 + r²/3.
      var densities = [Double](repeating: 0, count: race.experts)
      densities[certain] = 1
      let r = race.top == 0 ? race.jitter : 0
      return [
        Node(
          z: 0, weight: 1, densities: densities, factors: densities.map { _ in 1 },
          squares: densities.map { _ in 1 + r * r / 3 }, slope: .infinity)
      ]
    }
    var nodes: [Node] = []
    var rules: [Int: QuadratureRule] = [:]
    for panel in panels(resolution) {
      let length = panel.end - panel.start
      let rule = rules[panel.points] ?? QuadratureRule.gaussLegendre(panel.points)
      rules[panel.points] = rule
      for (position, weight) in zip(rule.nodes, rule.weights) {
        let z = panel.start + length * position
        let factors = (0..<race.experts).map { race.factor($0, at: z) }
        nodes.append(
          Node(
            z: z, weight: length * weight, densities: (0..<race.experts).map { race.density($0, at: z) },
            factors: factors, squares: factors.map { $0 * $0 }, slope: race.slope,
            reaches: isWide
              ? reaches(z: z, above: panel.anchor, by: panel.offset + position * panel.span) : []))
      }
    }
    return nodes
  }

  /// How fast the fastest term of the expansions turns with S.
  var frequency: Double { expansion.fundamental * Double(expansion.fourierTerms) }

  /// A panel of t: from `start` to `end` in z, in units of the logits `span` long and `offset` above the breakpoint `anchor`.
  struct Panel {
    var start: Double
    var end: Double
    var points: Int
    var anchor: Int
    var offset: Double
    var span: Double
  }

  /// Panels of t, with as many points as their share of the phase and of the exponentials' bends asks for.
  ///
  /// Only so far above a breakpoint as exponentials reach does anything bend on the scale of one unit; from there to the
  /// next everything is a polynomial, so one panel does, however long.
  func panels(_ resolution: Resolution) -> [Panel] {
    let largest = RayExpansion.range(of: race).upperBound
    // Products of N distribution functions are polynomials of that degree, but steep at one end only.
    let base = 8 + 2 * Double(race.reachable.count).squareRoot()
    func points(_ length: Double, atLeast least: Double = 0) -> Int {
      let length = min(length, 1)
      let needed = base + 0.3 * frequency * largest * length + 12 * length
      return Self.bounded(max(needed, least) * resolution.refinement)
    }
    return race.breakpoints.indices.dropLast().flatMap { anchor in
      let (start, end) = (race.breakpoints[anchor], race.breakpoints[anchor + 1])
      let whole = (end - start) * race.slope
      let isLong = whole > Self.wideFrom
      let bent = isLong ? Self.depth : whole
      let pieces = max(1, (bent / resolution.length).rounded(.up))
      let size = isLong ? bent / pieces / race.slope : (end - start) / pieces
      var panels = (0..<Int(pieces)).map { piece in
        Panel(
          start: start + size * Double(piece), end: start + size * Double(piece + 1),
          points: points(size * race.slope), anchor: anchor, offset: size * Double(piece) * race.slope,
          span: size * race.slope)
      }
      if isLong {
        panels.append(
          Panel(
            start: start + bent / race.slope, end: end,
            points: points(1, atLeast: 0.5 * Double(race.reachable.count) + 4), anchor: anchor, offset: bent,
            span: whole - bent))
      }
      return panels
    }
  }

  /// The points of a panel of v: w stays within (0, 1], and within what S can vary by.
  func innerPoints(_ resolution: Resolution) -> Int {
    let range = RayExpansion.range(of: race)
    let phase = frequency * min(1, range.upperBound - range.lowerBound)
    return Self.bounded((14 + 0.3 * phase) * resolution.refinement)
  }

  static func bounded(_ points: Double) -> Int {
    Int(min(points.rounded(.up), Double(QuadratureRule.largestGaussLegendre)))
  }

  /// About how many exponentials an evaluation takes.
  func cost(_ resolution: Resolution) -> Double {
    if isWide { return wideCost(resolution) }
    let nodes = race.certain == nil ? panels(resolution).reduce(0) { $0 + Double($1.points) } : 1
    let inner = race.logits.reduce(0) {
      let stretch = min(2 * race.jitter * $1.magnitude, Self.depth)
      return $0 + max(1, stretch / resolution.length)
    }
    return nodes * inner * Double(innerPoints(resolution) * expansion.terms)
  }
}
