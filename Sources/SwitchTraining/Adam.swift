import MixtureOfExperts

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Adam: `m ← β₁m + (1−β₁)g`, `v ← β₂v + (1−β₂)g²`, `θ ← θ − η (m/(1−β₁ᵗ))/(√(v/(1−β₂ᵗ)) + ε)`.
///
/// *Source*: arXiv 1412.6980.
struct Adam<Scalar: LayerScalar> {
  let beta1 = 0.9
  let beta2 = 0.98
  let epsilon = 1e-8
  private(set) var step = 0
  private let slots: [Slot]

  private struct Slot {
    let parameter, gradient, first, second: Tensor<Scalar>
    let rate: Double
  }

  init(_ parameters: MixtureNetworkParameters<Scalar>, _ gradients: MixtureNetworkParameters<Scalar>) {
    slots = zip(parameters.all, gradients.all).map { parameter, gradient in
      let (rows, columns) = (parameter.tensor.rows, parameter.tensor.columns)
      return Slot(
        parameter: parameter.tensor, gradient: gradient.tensor, first: Tensor(rows: rows, columns: columns),
        second: Tensor(rows: rows, columns: columns), rate: parameter.rate)
    }
  }

  mutating func update(rate: Double) {
    step += 1
    let correction1 = 1 - pow(beta1, Double(step))
    let correction2 = (1 - pow(beta2, Double(step))).squareRoot()
    let (b1, b2, e) = (Scalar(beta1), Scalar(beta2), Scalar(epsilon))
    let (rest1, rest2) = (Scalar(1 - beta1), Scalar(1 - beta2))
    let root = Scalar(1 / correction2)
    for slot in slots {
      let size = Scalar(rate * slot.rate / correction1)
      let (p, g, m, v) = (
        slot.parameter.elements, slot.gradient.elements, slot.first.elements, slot.second.elements
      )
      for i in 0..<slot.parameter.count {
        let x = g[i]
        m[i] = b1 * m[i] + rest1 * x
        v[i] = b2 * v[i] + rest2 * x * x
        p[i] -= size * m[i] / (v[i].squareRoot() * root + e)
      }
    }
  }
}
