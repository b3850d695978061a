import CStandardLibrary
import RoutingCore
import RoutingEstimators
import RoutingExpectations

// Jitter that spans much more than w.

extension JitterIntegral {
  /// Panels of t longer than this are not cut up as a whole.
  static var wideFrom: Double { 48 }
  /// Below e to the minus this, `f(w) = 1` to all digits.
  static var farFrom: Double { 60 }

  /// Jitter by less than this moves nothing by an ulp of w.
  static var fixedBelow: Double { 0x1p-100 }

  /// What the expectations of w and its powers are multiplied by where jitter spans so much that they, which fall like the
  /// span's inverse, would leave the range of normal numbers; 1 elsewhere. Everything that is summed is linear in them, but
  /// for products of two such experts, which are less than the span's inverse of what they are added to, either way.
  var unit: Double { race.slope > 0x1p400 ? race.slope.binade * 0x1p-200 : 1 }

  /// Whether t ranges over more than the exponentials do. Then places are given relative to t, in units of the logits
  /// and from the breakpoint below, because differences of what jitter makes of large logits have no digits left.
  var isWide: Bool {
    guard race.certain == nil, let last = race.breakpoints.last else { return false }
    return (last - race.breakpoints[0]) * race.slope > Self.wideFrom
  }

  /// Where an expert's `x_l < t` lie: from `nearest` below t downwards by `range`, and `u_l` at the nearest.
  struct Reach {
    var nearest: Double
    var range: Double
    var factor: Double
  }

  func reaches(z: Double, above anchor: Int, by offset: Double) -> [Reach] {
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
  func whole(rule: QuadratureRule, length: Double) -> Tables {
    var tables = Tables(count: expansion.terms)
    addRange(&tables, offset: 0, from: 0, by: Self.depth, factor: 0, slope: -1, density: 1, rule, length)
    return tables
  }

  /// Adds `∫ dy density f(e^{−y}) …` over a range of y from `start` on, u being `factor − slope (y − start)`.
  func addRange(
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
  enum Way {
    case fixed, far, shared
    /// By quadrature up to this range.
    case panels(Double)
  }

  func way(_ l: Int, _ reach: Reach) -> Way {
    guard race.jitter * race.logits[l].magnitude > Self.fixedBelow else { return .fixed }
    if reach.nearest == 0, reach.range >= Self.depth { return .shared }
    return reach.nearest > Self.farFrom && reach.range >= Self.depth ? .far : .panels(min(reach.range, Self.depth))
  }

  /// The expectations of one expert.
  func fill(
    _ tables: inout Tables, expert l: Int, _ reach: Reach, whole: Tables, rule: QuadratureRule, length: Double
  ) {
    let terms = expansion.terms
    let offset = l * terms
    tables.clear(offset..<offset + terms)
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
  func wideCost(_ resolution: Resolution) -> Double {
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
