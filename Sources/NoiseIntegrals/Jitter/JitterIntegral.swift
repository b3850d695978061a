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
  private struct Tables {
    var one, w, ww, wu, wwuu, wwu: [Complex]

    init(count: Int) {
      one = [Complex](repeating: Complex(), count: count)
      (w, ww, wu, wwuu, wwu) = (one, one, one, one, one)
    }
  }

  /// A number with nilpotent parts: products over l of `E[f (1 + ε w + ε² w²/2)] + δ q_l (α_l, β_l, 1, γ_l)`
  /// collect, in the coefficients of ε, ε² and of each δ, the sums over l (over pairs) of products that
  /// leave one factor (two) special.
  private struct Jet {
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
  private struct Node {
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

  private func nodes(_ resolution: Resolution) -> [Node] {
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
  private var frequency: Double { expansion.fundamental * Double(expansion.fourierTerms) }

  /// A panel of t: from `start` to `end` in z, in units of the logits `span` long and `offset` above the breakpoint `anchor`.
  private struct Panel {
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
  private func panels(_ resolution: Resolution) -> [Panel] {
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
  private func innerPoints(_ resolution: Resolution) -> Int {
    let range = RayExpansion.range(of: race)
    let phase = frequency * min(1, range.upperBound - range.lowerBound)
    return Self.bounded((14 + 0.3 * phase) * resolution.refinement)
  }

  private static func bounded(_ points: Double) -> Int {
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

// MARK: - One expert

extension JitterIntegral {
  /// How far below the largest w others still count.
  private static var depth: Double { 45 }

  /// The expectations of one expert, by Gauss–Legendre on panels of v.
  private func fill(
    _ tables: inout Tables, expert l: Int, at z: Double, rule: QuadratureRule, length: Double
  ) {
    let terms = expansion.terms
    let offset = l * terms
    for term in offset..<offset + terms {
      tables.one[term] = Complex()
      tables.w[term] = Complex()
      tables.ww[term] = Complex()
      tables.wu[term] = Complex()
      tables.wwuu[term] = Complex()
      tables.wwu[term] = Complex()
    }
    let top = race.level(l, at: z)
    let stretch = race.jitter * race.logits[l].magnitude
    guard stretch > 0 else {
      // A fixed logit; the jitter of a zero has a mean and a variance of its own.
      let r = race.jitter
      let w = exp(min(race.distance(l, level: 0, at: z), 0))
      add(&tables, offset: offset, weight: 1, w: w, u: 1, uu: 1 + r * r / 3)
      return
    }
    let bottom = max(-1, top - Self.depth / stretch)
    let below = (bottom + 1) / 2
    if below > 0 { for term in offset..<offset + terms { tables.one[term].re += below } }
    let panels = max(1, ((top - bottom) * stretch / length).rounded(.up))
    let step = (top - bottom) / panels
    guard step > 0 else { return }
    for panel in 0..<Int(panels) {
      for (position, weight) in zip(rule.nodes, rule.weights) {
        let v = bottom + step * (Double(panel) + position)
        let u = race.factor(l, level: v)
        let w = exp(min(race.distance(l, level: v, at: z), 0))
        add(&tables, offset: offset, weight: 0.5 * step * weight, w: w, u: u, uu: u * u)
      }
    }
  }

  private func add(
    _ tables: inout Tables, offset: Int, weight: Double, w: Double, u: Double, uu: Double
  ) {
    let angle = expansion.fundamental * w
    let rotation = Complex(re: cos(angle), im: sin(angle))
    var f = Complex(re: weight)
    let fourier = expansion.fourierTerms
    let (ww, wu, wwuu, wwu) = (w * w, w * u, w * w * uu, w * w * u)
    for term in 0..<expansion.terms {
      if term > fourier { f = Complex(re: weight * exp(-expansion.rates[term - fourier - 1] * w)) }
      let place = offset + term
      tables.one[place] += f
      tables.w[place] += w * f
      tables.ww[place] += ww * f
      tables.wu[place] += wu * f
      tables.wwuu[place] += wwuu * f
      tables.wwu[place] += wwu * f
      if term < fourier { f = f * rotation }
    }
  }
}

// MARK: - All experts

extension JitterIntegral {
  /// Adds what one term of the expansions contributes at one t. For residuals the coefficients are their
  /// sizes, and everything is added up.
  private func accumulate(
    _ node: Node, _ tables: Tables, term: Int, residual: Bool, covariance: Bool, into sums: inout Sums
  ) {
    let n = race.experts
    let terms = expansion.terms
    let sign: Double = residual ? 1 : -1
    // e^κ takes S from 1 + Σ to the 2 + Σ of a boundary.
    let shift =
      residual
      ? Complex(re: 1)
      : term > expansion.fourierTerms
        ? Complex(re: exp(-expansion.rates[term - expansion.fourierTerms - 1]))
        : Complex.exponential(Complex(im: expansion.fundamental * Double(term)))
    func coefficient(_ all: [[Complex]], _ residuals: [Double], _ i: Int) -> Complex {
      guard node.densities[i] > 0 else { return Complex() }
      return residual ? Complex(re: residuals[i]) : all[i][term]
    }
    var slopes = [Complex](repeating: Complex(), count: n)
    var squares = slopes
    var values = slopes
    var elements = [Jet](repeating: Jet(), count: n)
    for l in 0..<n {
      let q = node.densities[l]
      slopes[l] = q * coefficient(expansion.slopes, expansion.slopeResiduals, l)
      squares[l] = q * coefficient(expansion.squares, expansion.squareResiduals, l)
      values[l] = q * coefficient(expansion.values, expansion.valueResiduals, l)
      let place = l * terms + term
      elements[l] = Jet(
        base: tables.one[place], first: tables.w[place], second: 0.5 * tables.ww[place],
        slope: slopes[l], square: squares[l], density: Complex(re: q), value: values[l])
    }
    var before = [Jet()]
    for l in 0..<n { before.append(before[l] * elements[l]) }
    var after = [Jet](repeating: Jet(), count: n + 1)
    for l in (0..<n).reversed() { after[l] = elements[l] * after[l + 1] }
    for k in 0..<n {
      let rest = before[k] * after[k + 1]
      let place = k * terms + term
      var mean = sign * (tables.wu[place] * rest.slope).re
      var second = (tables.wwuu[place] * rest.square).re
      if node.densities[k] > 0 {
        mean += node.factors[k] * (slopes[k] * rest.first).re
        second += 2 * node.squares[k] * (squares[k] * rest.second).re
        sums.value += node.weight * (values[k] * rest.base).re
        let jump =
          values[k] * rest.density
          + (residual ? 1 : -1) * (node.densities[k] * rest.value)
        sums.boundary[k] += node.weight * node.factors[k] / node.slope * (shift * jump).re
      }
      sums.means[k] += node.weight * mean
      sums.seconds[k] += node.weight * second
      if covariance {
        // Products over all but k and l > k, the stretch between them growing.
        var between = Jet()
        for l in (k + 1)..<max(n, k + 1) {
          let others = before[k] * between * after[l + 1]
          let other = l * terms + term
          var product = (tables.wu[place] * tables.wu[other] * others.square).re
          product +=
            sign * node.factors[k]
            * (squares[k] * (tables.wwu[other] * others.base + tables.wu[other] * others.first)).re
          product +=
            sign * node.factors[l]
            * (squares[l] * (tables.wwu[place] * others.base + tables.wu[place] * others.first)).re
          sums.products[k * n + l] += node.weight * product
          between = between * elements[l]
        }
      }
    }
  }
}

// MARK: - Jitter that spans much more than w

extension JitterIntegral {
  /// Panels of t longer than this are not cut up as a whole.
  private static var wideFrom: Double { 48 }
  /// Below e to the minus this, `f(w) = 1` to all digits.
  private static var farFrom: Double { 60 }

  /// Jitter by less than this moves nothing by an ulp of w.
  private static var fixedBelow: Double { 0x1p-100 }

  /// What the expectations of w and its powers are multiplied by where jitter spans so much that they, which fall like the
  /// span's inverse, would leave the range of normal numbers; 1 elsewhere. Everything that is summed is linear in them, but
  /// for products of two such experts, which are less than the span's inverse of what they are added to, either way.
  private var unit: Double { race.slope > 0x1p400 ? race.slope.binade * 0x1p-200 : 1 }

  /// Whether t ranges over more than the exponentials do. Then places are given relative to t, in units of the logits
  /// and from the breakpoint below, because differences of what jitter makes of large logits have no digits left.
  var isWide: Bool {
    guard race.certain == nil, let last = race.breakpoints.last else { return false }
    return (last - race.breakpoints[0]) * race.slope > Self.wideFrom
  }

  /// Where an expert's `x_l < t` lie: from `nearest` below t downwards by `range`, and `u_l` at the nearest.
  private struct Reach {
    var nearest: Double
    var range: Double
    var factor: Double
  }

  private func reaches(z: Double, above anchor: Int, by offset: Double) -> [Reach] {
    let (r, sign): (Double, Double) = (race.jitter, race.top < 0 ? -1 : 1)
    let start = race.breakpoints[anchor]
    // Ends relative to those of the largest logit, exact where signs agree: (1 ± r)(θ_l − θ*).
    func high(_ l: Int) -> Double { race.gaps[l] * (1 + r * sign) }
    func low(_ l: Int) -> Double { race.gaps[l] * (1 - r * sign) }
    let width = 2 * race.slope  // from the largest logit's low end to its high end
    let isLow = anchor == 0
    let owner =
      race.logits.indices.first {
        (isLow ? race.low[$0] : race.high[$0]) == start && race.logits[$0].sign == race.top.sign
      }
    return race.logits.indices.map { l in
      let stretch = r * race.logits[l].magnitude
      guard race.logits[l].sign == race.top.sign, race.logits[l] != 0, let owner else {
        let t = race.top + race.slope * z
        return Reach(
          nearest: max(t - (race.logits[l] + stretch), 0), range: 2 * stretch, factor: race.factor(l, level: 1))
      }
      if z < race.high[l] {
        // Alive: up to t itself.
        let below = isLow ? low(owner) - low(l) : width + high(owner) - low(l)
        return Reach(
          nearest: 0, range: min(max(below + offset, 0), 2 * stretch), factor: race.factor(l, at: z))
      }
      let above = isLow ? low(owner) - high(l) - width : high(owner) - high(l)
      return Reach(nearest: max(above + offset, 0), range: 2 * stretch, factor: race.factor(l, level: 1))
    }
  }

  /// `∫₀^depth f(e^{−y}) dy` with the factors of ``Tables``, y in the place of u: what all experts share whose jitter
  /// reaches from t to where it no longer matters.
  private func whole(rule: QuadratureRule, length: Double) -> Tables {
    var tables = Tables(count: expansion.terms)
    addRange(&tables, offset: 0, from: 0, by: Self.depth, factor: 0, slope: -1, density: 1, rule, length)
    return tables
  }

  /// Adds `∫ dy density f(e^{−y}) …` over a range of y from `start` on, u being `factor − slope (y − start)`.
  private func addRange(
    _ tables: inout Tables, offset: Int, from start: Double, by range: Double, factor: Double, slope: Double,
    density: Double, _ rule: QuadratureRule, _ length: Double
  ) {
    let panels = max(1, (range / length).rounded(.up))
    let step = range / panels
    guard step > 0 else { return }
    for panel in 0..<Int(panels) {
      for (position, weight) in zip(rule.nodes, rule.weights) {
        let below = step * (Double(panel) + position)
        let u = factor - slope * below
        add(&tables, offset: offset, weight: density * step * weight, w: exp(-(start + below)), u: u, uu: u * u)
      }
    }
  }

  /// How the expectations of an expert are found.
  private enum Way {
    case fixed, far, shared
    /// By quadrature up to this range.
    case panels(Double)
  }

  private func way(_ l: Int, _ reach: Reach) -> Way {
    guard race.jitter * race.logits[l].magnitude > Self.fixedBelow else { return .fixed }
    if reach.nearest == 0, reach.range >= Self.depth { return .shared }
    return reach.nearest > Self.farFrom && reach.range >= Self.depth ? .far : .panels(min(reach.range, Self.depth))
  }

  /// The expectations of one expert.
  private func fill(
    _ tables: inout Tables, expert l: Int, _ reach: Reach, whole: Tables, rule: QuadratureRule, length: Double
  ) {
    let terms = expansion.terms
    let offset = l * terms
    for term in offset..<offset + terms {
      tables.one[term] = Complex()
      tables.w[term] = Complex()
      tables.ww[term] = Complex()
      tables.wu[term] = Complex()
      tables.wwuu[term] = Complex()
      tables.wwu[term] = Complex()
    }
    let stretch = 2 * (race.jitter * race.logits[l].magnitude)
    let density = unit / stretch
    let (u, slope) = (reach.factor, 1 / race.logits[l])
    switch way(l, reach) {
    case .fixed:
      let r = race.jitter
      add(&tables, offset: offset, weight: 1, w: exp(-reach.nearest), u: 1, uu: 1 + r * r / 3)
    case .far:
      // ∫ e^{−y} = 1, ∫ y e^{−y} = 1, ∫ e^{−2y} = ½, ∫ y e^{−2y} = ¼ = ∫ y² e^{−2y}.
      let w = density * exp(-reach.nearest)
      let ww = w * exp(-reach.nearest)
      for term in offset..<offset + terms {
        tables.one[term].re = 1
        tables.w[term].re = w
        tables.ww[term].re = 0.5 * ww
        tables.wu[term].re = w * (u - slope)
        tables.wwu[term].re = ww * (0.5 * u - 0.25 * slope)
        tables.wwuu[term].re = ww * (0.5 * u * u - 0.5 * u * slope + 0.25 * slope * slope)
      }
    case .shared:
      let below = (reach.range - Self.depth) / stretch
      for term in 0..<terms {
        let place = offset + term
        let (w, ww, wwy) = (whole.w[term], whole.ww[term], whole.wwu[term])
        tables.one[place] = density * whole.one[term]
        tables.one[place].re += below
        tables.w[place] = density * w
        tables.ww[place] = density * ww
        tables.wu[place] = density * (u * w - slope * whole.wu[term])
        tables.wwu[place] = density * (u * ww - slope * wwy)
        tables.wwuu[place] =
          density * ((u * u) * ww - (2 * u * slope) * wwy + (slope * slope) * whole.wwuu[term])
      }
    case .panels(let range):
      let below = (reach.range - range) / stretch
      if below > 0 { for term in offset..<offset + terms { tables.one[term].re += below } }
      addRange(
        &tables, offset: offset, from: reach.nearest, by: range, factor: u, slope: slope,
        density: density, rule, length)
    }
  }

  /// About how many exponentials an evaluation takes, the products over the experts counted as such.
  private func wideCost(_ resolution: Resolution) -> Double {
    let points = Double(innerPoints(resolution))
    var cost = 0.0
    for panel in panels(resolution) {
      let middle = reaches(
        z: 0.5 * (panel.start + panel.end), above: panel.anchor, by: panel.offset + 0.5 * panel.span)
      var each = 4 * Double(race.experts)
      for l in race.logits.indices {
        if case .panels(let range) = way(l, middle[l]) {
          each += points * max(1, (range / resolution.length).rounded(.up))
        }
      }
      cost += Double(panel.points * expansion.terms) * each
    }
    return cost
  }
}
