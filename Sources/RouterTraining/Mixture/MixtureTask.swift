import CStandardLibrary
import MixtureOfExperts
import RoutingCore

/// A made task that rewards specialised experts: the inputs fall into K cells, in each of which another teacher speaks.
///
/// `x ~ N(0, I₁₆)`; K = 8 prototypes ~ N(0, I₁₆), teacher k is that of the nearest; `teacher_k(x) = tanh(x A_k) B_k`, 16 → 16 → 8, with
/// `A ~ 1.5 N(0, 1)/√16` and `B ~ N(0, 1)/√16`.
/// - regression: the target is `√s · teacher₀(x) + √(1 − s) · teacher_k(x)`, `teacher₀` shared by all cells; the loss is the mean squared
///   error, reported divided by the variance of the held-out targets;
/// - classification: the label is the argmax of `teacher_k(x)`, the loss is the cross-entropy.
///
/// Prototypes, teachers and held-out inputs are functions of the seed; batch b of (seed, b).
public struct MixtureTask: Sendable {
  /// The two kinds.
  public enum Kind: String, Sendable, CaseIterable {
    case regression = "mixture-regression"
    case classification = "mixture-classification"
  }

  /// Which of the two.
  package let kind: Kind
  /// s, the share of the target's variance that is the shared teacher's; 0 in classification.
  package let shared: Double
  /// Where everything comes from.
  package let seed: UInt64

  /// The length of x.
  package static let inputs = 16
  /// The number of targets, or of classes.
  package static let outputs = 8
  static let hidden = 16
  /// K.
  package static let cells = 8

  private let prototypes: [Double]
  private let teachers: [Teacher]

  private struct Teacher: Sendable {
    let a, b: [Double]

    init(_ random: inout Philox) {
      let width = Double(MixtureTask.inputs).squareRoot()
      a = random.normals(MixtureTask.inputs * MixtureTask.hidden, deviation: 1.5 / width)
      b = random.normals(MixtureTask.hidden * MixtureTask.outputs, deviation: 1 / width)
    }
  }

  /// The streams of a seed.
  private enum Stream {
    static let task: UInt64 = 1 << 62
    static let heldOut: UInt64 = 1 << 62 | 1
  }

  /// A task.
  ///
  /// - Precondition: `0 ≤ shared ≤ 1`.
  package init(_ kind: Kind, shared: Double, seed: UInt64) {
    precondition(shared >= 0 && shared <= 1, "a share lies between 0 and 1, got \(shared)")
    self.kind = kind
    self.shared = kind == .regression ? shared : 0
    self.seed = seed
    var random = Philox(seed: seed, stream: Stream.task)
    prototypes = random.normals(Self.cells * Self.inputs)
    teachers = (0...Self.cells).map { _ in Teacher(&random) }
  }

  /// A batch: inputs `[tokens, 16]`, and targets `[tokens, 8]` or labels.
  package struct Batch: Sendable {
    /// x.
    package var inputs: [Double]
    /// The targets of a regression; empty in classification.
    package var targets: [Double]
    /// The labels of a classification; empty in regression.
    package var labels: [Int]
  }

  /// The batch of a training step.
  package func batch(_ step: Int, tokens: Int) -> Batch {
    sample(Philox(seed: seed, stream: UInt64(step)), tokens: tokens)
  }

  /// Held-out tokens.
  package func heldOut(tokens: Int) -> Batch { sample(Philox(seed: seed, stream: Stream.heldOut), tokens: tokens) }

  private func sample(_ generator: Philox, tokens: Int) -> Batch {
    var random = generator
    var batch = Batch(inputs: random.normals(tokens * Self.inputs), targets: [], labels: [])
    let own = (1 - shared).squareRoot()
    let common = shared.squareRoot()
    var output = [Double](repeating: 0, count: Self.outputs)
    for t in 0..<tokens {
      let x = batch.inputs[t * Self.inputs..<(t + 1) * Self.inputs]
      for j in output.indices { output[j] = 0 }
      add(teachers[1 + cell(of: x)], x, weight: own, to: &output)
      if common > 0 { add(teachers[0], x, weight: common, to: &output) }
      switch kind {
      case .regression: batch.targets += output
      case .classification: batch.labels.append(output.indices.reduce(0) { output[$1] > output[$0] ? $1 : $0 })
      }
    }
    return batch
  }

  private func cell(of x: ArraySlice<Double>) -> Int {
    var best = (cell: 0, distance: Double.infinity)
    for k in 0..<Self.cells {
      var distance = 0.0
      for (j, value) in x.enumerated() {
        let difference = value - prototypes[k * Self.inputs + j]
        distance += difference * difference
      }
      if distance < best.distance { best = (k, distance) }
    }
    return best.cell
  }

  private func add(_ teacher: Teacher, _ x: ArraySlice<Double>, weight: Double, to output: inout [Double]) {
    for h in 0..<Self.hidden {
      var sum = 0.0
      for (j, value) in x.enumerated() { sum += value * teacher.a[j * Self.hidden + h] }
      let unit = weight * tanh(sum)
      for j in 0..<Self.outputs { output[j] += unit * teacher.b[h * Self.outputs + j] }
    }
  }
}
