import CStandardLibrary
import RoutingCore

/// Exact moments of soft Gumbel-softmax on linear and quadratic objectives, for any number of experts.
///
/// With `E_k ~ Exp(π_k)`, `w_k = E_k^{−a}`, `a = 1/τ`, `S = Σ w`: `p_k = w_k/S`. Nothing depends on which
/// expert is largest, so one integral does what takes three for the straight-through estimator:
/// `1/S^n = ∫ s^{n−1} e^{−sS} ds/Γ(n)`, and with `s = e^y`, `x_k = s w_k = σ_k V^{−a}`,
/// `log σ_k = y + a log π_k`, V ~ Exp(1),
/// ```
/// E[p_j p_k …] (n factors) = ∫ dy/Γ(n) Π_l φ_l · Ẽ[x_j x_k …],
/// ```
/// Ẽ being the expectation in which every `x_l` is independent and tilted by `e^{−x}` (``TiltedWeight``);
/// `φ_l = E e^{−x_l}`. With `r, c` mean and variance of x under the tilt, `A = Σ r`, `B = Σ r u`,
/// `X_j = A u_j − B`, `T_q = Σ c u^q`:
/// - linear F, u = ∇F: mean `(1/τ) r_j X_j` (n = 2); second moments (n = 4) as in ``GumbelIntegral``, and
///   with p_i for the gating sample `r_i r_j X_j + c_j X_j [i = j] + r_j c_i (u_j − u_i)` (n = 3);
/// - quadratic F, `∇F = Mp + b`: mean as above with b, and (n = 3), v = M r,
///   `r_j (A v_j − Σ r v) + Σ_{k≠j} [c_j r_k (M_jj − M_kj) + r_j c_k (M_jk − M_kk)]`;
/// - its second moments (n = 6): `τ ĝ_j = w_j (wᵀC_j w)/S³` with
///   `2 (C_j)_kl = 2b_j − b_k − b_l + M_jk + M_jl − M_kl − M_lk`. A factor `x_j x_k` is a further tilt of
///   two experts, or of one twice, and `Ẽ[(xᵀCx)(xᵀC'x)]` for independent x needs central moments to the
///   fourth: `Ẽ[xᵀCx] = rᵀCr + Σ C_kk c_k`, and the covariance is, with `g = C r`,
///   `Σ_k [4 g_k g'_k c_k + 2 (g_k C'_kk + g'_k C_kk) κ_k + C_kk C'_kk (μ_k − c_k²)]
///   + 2 Σ_{k≠l} C_kl C'_kl c_k c_l`, κ and μ being the central moments of order 3 and 4.
///
/// **Quadrature**: the trapezoid rule in y, whose integrand is analytic for |Im y| < (1 + a)π/2, with step
/// `(1 + a) h`. The tables use h as well; results at h are compared with those at 1.25 h.
///
/// *Source*: derived for this library.
struct SoftGumbelIntegral: Sendable {
  let form: PolynomialForm
  /// `log π` over the support.
  let logRates: [Double]
  /// τ.
  let temperature: Double
  /// Whether second moments are wanted, and those of pairs.
  let wantsSeconds: Bool
  let wantsProducts: Bool

  /// Sums over y, without τ.
  struct Sums: Sendable {
    var means: [Double]
    /// `∫ |integrand|` of the mean.
    var sizes: [Double]
    var seconds: [Double]
    /// `E ĝ_jĝ_k`, row-major, j < k.
    var products: [Double]
    /// For gating samples: `E p`, `E p pᵀ`, `E ĝ_j p_i` (row j).
    var shares: [Double]
    var pairs: [Double]
    var cross: [Double]

    init(experts n: Int) {
      means = [Double](repeating: 0, count: n)
      (sizes, seconds, shares) = (means, means, means)
      products = [Double](repeating: 0, count: n * n)
      (pairs, cross) = (products, products)
    }

    mutating func merge(_ other: Sums) {
      func add(_ mine: inout [Double], _ theirs: [Double]) { for e in mine.indices { mine[e] += theirs[e] } }
      add(&means, other.means)
      add(&sizes, other.sizes)
      add(&seconds, other.seconds)
      add(&products, other.products)
      add(&shares, other.shares)
      add(&pairs, other.pairs)
      add(&cross, other.cross)
    }
  }

  var experts: Int { logRates.count }
  private var exponent: Double { min(1 / temperature, 1e15) }
  private var isQuadratic: Bool { form.matrix != nil }

  /// Bounds on what underflow may take from the mean and from second moments: the rare experts' shares, `E p_k` about
  /// `π_k^{min(1, a)}` and a logarithm, times the largest samples.
  var lost: (mean: Double, second: Double) {
    func largest(_ values: [Double]) -> Double { values.reduce(0) { max($0, $1.magnitude) } }
    let slope = 2 * (largest(form.linear) + largest(form.matrix?.elements ?? [])) / temperature
    let gate = largest(form.gating?.linear ?? []) + largest(form.gating?.matrix?.elements ?? [])
    let size = slope + gate
    let sizes = logRates.map { min(1, exponent) * $0 + log1p($0.magnitude) + 1 }
    return (
      sizes.reduce(0) { $0 + Underflow.loss(ofLog: $1, times: size) },
      wantsSeconds ? sizes.reduce(0) { $0 + Underflow.loss(ofLog: $1, times: size * size) } : 0
    )
  }

  /// The integrals with step h, or nil if they were called off.
  ///
  /// - Parameters:
  ///   - evaluations: counts the values of y.
  ///   - continuing: asked on the caller's thread.
  func evaluate(
    step h: Double, threads: Int, evaluations: inout Int, continuing: (_ evaluations: Int) -> Bool
  ) -> Sums? {
    let a = exponent
    let step = h * (1 + a)
    // Moments of n factors fall like e^{n min(1, τ) y}; the fewest factors are one with a gating sample,
    // else two.
    let low = -46 * max(1, a) / (form.gating == nil ? 2 : 1) - 4 - a
    let high = (1 + a) * 4.2 + a * log(Double(experts)) + 8
    let first = Int((low / step).rounded(.down))
    let last = Int((high / step).rounded(.up))
    let block = 8
    let blocks = (last - first) / block + 1
    let before = evaluations
    func isWanted(_ done: Int) -> Bool { continuing(before + done * block) }
    let parts = parallelMap(0..<blocks, threads: threads, continuing: isWanted) { index in
      var sums = Sums(experts: experts)
      for node in first + index * block...min(first + index * block + block - 1, last) {
        add(y: step * Double(node), weight: step, step: h * min(1, a), to: &sums)
      }
      return sums
    }
    guard let parts else { return nil }
    evaluations += blocks * block
    var total = Sums(experts: experts)
    for part in parts { total.merge(part) }
    return total
  }

  private func add(y: Double, weight: Double, step: Double, to sums: inout Sums) {
    let deep = wantsSeconds && isQuadratic
    var known: [Double: TiltedWeight] = [:]
    var tables: [TiltedWeight] = []
    var logProduct = 0.0
    for rate in logRates {
      let table =
        known[rate]
        ?? TiltedWeight(
          logScale: y + exponent * rate, exponent: exponent,
          // In log V for a ≤ 1, in log x beyond: the same nodes.
          step: exponent <= 1 ? step / exponent : step, tilts: deep ? 3 : 1, order: deep ? 4 : 2)
      known[rate] = table
      guard table.laplace > 0 else { return }
      logProduct += log(table.laplace)
      tables.append(table)
    }
    guard logProduct > -100 else { return }
    let density = weight * exp(logProduct)
    let plain = tables.map(\.tilts[0])
    addMeans(density, plain, to: &sums)
    if wantsSeconds {
      if isQuadratic {
        addQuadraticSeconds(density, tables, to: &sums)
      } else {
        addSeconds(density, plain, to: &sums)
      }
    }
    if form.gating != nil { addShares(density, plain, to: &sums) }
  }
}

// MARK: - Integrands

extension SoftGumbelIntegral {
  private func addMeans(_ density: Double, _ x: [TiltedWeight.Tilt], to sums: inout Sums) {
    let n = experts
    let u = form.linear
    let total = x.reduce(0) { $0 + $1.mean }
    let weighted = zip(x, u).reduce(0) { $0 + $1.0.mean * $1.1 }
    var values = (0..<n).map { x[$0].mean * (total * u[$0] - weighted) }
    if let bends = form.matrix {
      // Centred at the expert with the largest mean, where the differences would cancel.
      var top = 0
      for k in 0..<n where x[k].mean > x[top].mean { top = k }
      let v = (0..<n).map { k in (0..<n).reduce(0) { $0 + x[$1].mean * (bends[k, $1] - bends[top, $1]) } }
      let rv = zip(x, v).reduce(0) { $0 + $1.0.mean * $1.1 }
      for j in 0..<n {
        var value = x[j].mean * (total * v[j] - rv)
        for k in 0..<n where k != j {
          value +=
            x[j].second * x[k].mean * (bends[j, j] - bends[k, j]) + x[j].mean * x[k].second
            * (bends[j, k] - bends[k, k])
        }
        values[j] += 0.5 * value
      }
    }
    for j in 0..<n {
      sums.means[j] += density * values[j]
      sums.sizes[j] += density * values[j].magnitude
    }
  }

  private func addSeconds(_ density: Double, _ x: [TiltedWeight.Tilt], to sums: inout Sums) {
    let n = experts
    let u = form.linear
    let r = x.map(\.mean)
    let c = x.map(\.second)
    let total = r.reduce(0, +)
    let weighted = zip(r, u).reduce(0) { $0 + $1.0 * $1.1 }
    let excess = u.map { total * $0 - weighted }
    for j in 0..<n {
      let spread = (0..<n).reduce(0) { $0 + c[$1] * (u[j] - u[$1]) * (u[j] - u[$1]) }
      sums.seconds[j] += density / 6 * (r[j] * r[j] + c[j]) * (spread + excess[j] * excess[j])
      guard wantsProducts else { continue }
      for k in (j + 1)..<max(n, j + 1) {
        let gap = u[j] - u[k]
        let spread = (0..<n).reduce(0) { $0 + c[$1] * (u[j] - u[$1]) * (u[k] - u[$1]) }
        let value =
          r[j] * r[k] * (spread + excess[j] * excess[k]) - gap * c[j] * r[k] * excess[j] + gap * c[k] * r[j]
          * excess[k]
          - gap * gap * c[j] * c[k]
        sums.products[j * n + k] += density / 6 * value
      }
    }
  }

  /// What gating samples need besides.
  private func addShares(_ density: Double, _ x: [TiltedWeight.Tilt], to sums: inout Sums) {
    let n = experts
    let u = form.linear
    let total = x.reduce(0) { $0 + $1.mean }
    let weighted = zip(x, u).reduce(0) { $0 + $1.0.mean * $1.1 }
    for j in 0..<n {
      let excess = total * u[j] - weighted
      sums.shares[j] += density * x[j].mean
      for i in 0..<n {
        let square = i == j ? x[j].second : 0
        sums.pairs[j * n + i] += density * (x[i].mean * x[j].mean + square)
        let cross = x[i].mean * x[j].mean * excess + square * excess + x[j].mean * x[i].second * (u[j] - u[i])
        sums.cross[j * n + i] += 0.5 * density * cross
      }
    }
  }

  /// `(C_j)_kl`.
  private func curvature(_ j: Int, _ k: Int, _ l: Int, _ bends: Matrix) -> Double {
    let b = form.linear
    let slope = 0.5 * ((b[j] - b[k]) + (b[j] - b[l]))
    return slope + 0.5 * ((bends[j, k] - bends[l, k]) + (bends[j, l] - bends[k, l]))
  }

  private func addQuadraticSeconds(_ density: Double, _ tables: [TiltedWeight], to sums: inout Sums) {
    guard let bends = form.matrix else { return }
    let n = experts
    let curvatures = (0..<n).map { j in
      (0..<n).map { k in (0..<n).map { l in curvature(j, k, l, bends) } }
    }
    for j in 0..<n {
      for k in j..<(wantsProducts ? n : j + 1) {
        var x = tables.map(\.tilts[0])
        var mass = 1.0
        if j == k {
          x[j] = tables[j].tilts[2]
          mass = x[j].mass
        } else {
          x[j] = tables[j].tilts[1]
          x[k] = tables[k].tilts[1]
          mass = x[j].mass * x[k].mass
        }
        let value = density / 120 * mass * Self.secondMoment(curvatures[j], curvatures[k], x)
        if j == k { sums.seconds[j] += value } else { sums.products[j * n + k] += value }
      }
    }
  }

  /// `Ẽ[(xᵀCx)(xᵀC'x)]` for independent x.
  static func secondMoment(_ first: [[Double]], _ second: [[Double]], _ x: [TiltedWeight.Tilt]) -> Double {
    let n = x.count
    var means = (0.0, 0.0)
    var covariance = 0.0
    for k in 0..<n {
      var g = 0.0
      var h = 0.0
      for l in 0..<n {
        g += first[k][l] * x[l].mean
        h += second[k][l] * x[l].mean
        if l != k { covariance += 2 * first[k][l] * second[k][l] * x[k].second * x[l].second }
      }
      let (p, q) = (first[k][k], second[k][k])
      means.0 += x[k].mean * g + p * x[k].second
      means.1 += x[k].mean * h + q * x[k].second
      covariance += 4 * g * h * x[k].second + 2 * (g * q + h * p) * x[k].third
      covariance += p * q * (x[k].fourth - x[k].second * x[k].second)
    }
    return means.0 * means.1 + covariance
  }
}
