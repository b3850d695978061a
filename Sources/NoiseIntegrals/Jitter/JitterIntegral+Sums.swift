import CStandardLibrary
import RoutingCore
import RoutingEstimators
import RoutingExpectations

// MARK: - One expert

extension JitterIntegral {
  /// How far below the largest w others still count.
  static var depth: Double { 45 }

  /// The expectations of one expert, by Gauss–Legendre on panels of v.
  func fill(
    _ tables: inout Tables, expert l: Int, at z: Double, rule: QuadratureRule, length: Double
  ) {
    let terms = expansion.terms
    let offset = l * terms
    tables.clear(offset..<offset + terms)
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

  func add(
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
  func accumulate(
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
