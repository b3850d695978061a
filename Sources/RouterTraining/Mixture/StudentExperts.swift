import LayerTensors
import MixtureOfExperts
import RoutingCore

/// Low-rank students of the experts, `s_i(h) = B_i relu(U h + b) + c_i`, which stand in for experts that were not chosen.
///
/// They are trained by mean squared error on the outputs of the chosen expert and of the further one that some tokens have; h is
/// detached.
///
/// *Source*: docs/guides/training.md, `surrogate-experts`.
struct StudentExperts<Scalar: LayerScalar> {
  /// U and b, `[rank, width]`.
  let features: LinearMap<Scalar>
  /// B_i, one below the other, `[experts · width, rank]`, and c_i, `[1, experts · width]`.
  let outputs: LinearMap<Scalar>
  let experts: Int
  let width: Int

  /// Students learn at twice the learning rate.
  static var rate: Double { 2 }

  var rank: Int { features.outputs }

  init(experts: Int, width: Int, rank: Int) {
    self.experts = experts
    self.width = width
    features = LinearMap(inputs: width, outputs: rank)
    outputs = LinearMap(inputs: rank, outputs: experts * width)
  }

  /// U and b as any linear map; B and c zero, so that a student begins by saying nothing.
  func initialise(_ random: inout Philox) { features.initialise(&random) }

  var all: [(name: String, tensor: Tensor<Scalar>)] {
    [
      ("features.weight", features.weights), ("features.bias", features.biases), ("outputs.weight", outputs.weights),
      ("outputs.bias", outputs.biases),
    ]
  }

  /// relu(U h + b), `[count, rank]`.
  private func hidden(_ h: Tensor<Scalar>, count: Int) -> Tensor<Scalar> {
    let q = Tensor<Scalar>(rows: count, columns: rank)
    features.forward(h.elements, rows: count, to: q.elements)
    for i in 0..<q.count where q.elements[i] < 0 { q.elements[i] = 0 }
    return q
  }

  /// `ω ⊙ p_i s_i(h)`, `[tokens, experts, width]`; with `top` zero but for the most probable expert that was not chosen.
  func outputs(
    _ h: Tensor<Scalar>, _ workspace: LayerWorkspace<Scalar>, scale: Tensor<Scalar>?, count: Int, top: Bool,
    to candidates: Tensor<Scalar>
  ) {
    let q = hidden(h, count: count)
    outputs.forward(q.elements, rows: count, to: candidates.elements)
    for t in 0..<count {
      let runnerUp = top ? mostProbableOther(t, workspace) : nil
      for i in 0..<experts {
        let share = runnerUp == nil || i == runnerUp ? Scalar(workspace.probability(token: t, expert: i)) : 0
        let row = candidates.elements + (t * experts + i) * width
        for j in 0..<width { row[j] *= share * (scale?.elements[j] ?? 1) }
      }
    }
  }

  private func mostProbableOther(_ token: Int, _ workspace: LayerWorkspace<Scalar>) -> Int? {
    let chosen = workspace.chosenExpert(token)
    return (0..<experts).filter { $0 != chosen }.max {
      workspace.probability(token: token, expert: $0) < workspace.probability(token: token, expert: $1)
    }
  }

  /// The gradient of `Σ ‖s_i(h) − f_i(h)‖²/(tokens · width)` over the experts that tokens were given.
  func differentiate(
    _ h: Tensor<Scalar>, _ workspace: LayerWorkspace<Scalar>, count: Int, gradient: StudentExperts
  ) {
    let q = hidden(h, count: count)
    let dq = Tensor<Scalar>(rows: count, columns: rank)
    for tensor in [gradient.outputs.weights, gradient.outputs.biases] { tensor.clear() }
    let factor = 2 / Scalar(count * width)
    for t in 0..<count {
      let (features, back) = (q.elements + t * rank, dq.elements + t * rank)
      for slot in 0..<workspace.slotCount {
        guard let output = workspace.expertOutput(token: t, slot: slot) else { continue }
        let first = workspace.expert(token: t, slot: slot) * width
        for j in 0..<width {
          let row = outputs.weights.elements + (first + j) * rank
          var s = outputs.biases.elements[first + j]
          for k in 0..<rank { s += row[k] * features[k] }
          let difference = factor * (s - output[j])
          gradient.outputs.biases.elements[first + j] += difference
          let slope = gradient.outputs.weights.elements + (first + j) * rank
          for k in 0..<rank {
            slope[k] += difference * features[k]
            back[k] += difference * row[k]
          }
        }
      }
      for k in 0..<rank where features[k] <= 0 { back[k] = 0 }
    }
    features.backward(dq.elements, x: h.elements, rows: count, gradient: gradient.features, dx: nil)
  }
}
