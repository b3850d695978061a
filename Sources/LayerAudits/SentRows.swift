import LayerTensors
import RoutingCore

/// What one expert is sent back by the events of one or more tokens, and what becomes of it on its way.
///
/// An event in which the expert takes part with the factor m sends it `v = m ω ⊙ G'(y)`. The way back is linear, so that only
/// vectors that span these have to go it (``Basis``), and what becomes of v is put together from what became of them.
struct SentRows {
  /// What goes back in place of a token's events.
  enum Basis {
    /// The mean over all events; nothing else is asked for.
    case mean
    /// Each event's v.
    case events
    /// Under a quadratic loss, where `G'(z) = z + c`: `ω ⊙ c` and the `ω² ⊙ f_j` of the experts j that take part in the events,
    /// at most N + 1 vectors.
    case combinations
    /// The unit vectors, `[outputs]` of them.
    case units
  }

  /// A token's part.
  struct Group {
    /// The place of the token in the tile.
    var token: Int
    var basis: Basis
    /// Its vectors.
    var rows: Range<Int>
    /// The expert's slots.
    var slots: [ForwardEvents.Slot]
    /// The probability of each.
    var probabilities: [Double]
    /// v of each, `[slots, outputs]`; empty if these are the rows themselves, or only their mean is asked for.
    var sent: [Double] = []
    /// Of combinations: each slot's terms, with their places.
    var terms: [Term] = []
    var termPlaces: [Range<Int>] = []

    /// The probability that the expert is sent anything.
    var share: Double { basis == .mean ? 1 : probabilities.reduce(0, +) }
  }

  /// A vector's share in an event.
  struct Term {
    var row: Int
    var factor: Double
  }

  private let expert: Int
  private let scale: Tensor<Double>?
  let width: Int
  private(set) var groups: [Group] = []
  /// `[rows, outputs]`.
  private(set) var vectors: [Double] = []

  /// The number of vectors.
  var count: Int { vectors.count / width }

  init(expert: Int, context: AuditContext) {
    self.expert = expert
    width = context.shape.outputs
    scale = context.layer.parameters.scale
  }

  /// Collects a token's events.
  ///
  /// - Parameters:
  ///   - token: its place in the tile.
  ///   - events: what can happen.
  ///   - places: of the expert's slots.
  ///   - gradients: `G'` of each event, `[events, outputs]`.
  ///   - meanOnly: whether nothing but means is asked for.
  ///   - loss: the token's.
  ///   - outputs: f of all experts for the token.
  mutating func add(
    token: Int, events: ForwardEvents, places: [Int], gradients: UnsafePointer<Double>, meanOnly: Bool, loss: TokenLoss,
    outputs: Matrix
  ) {
    guard !places.isEmpty else { return }
    let slots = places.map { events.slots[$0] }
    let combinations = loss.isQuadratic ? outputs.rows + 1 : .max
    let basis: Basis =
      if meanOnly { .mean } else if slots.count <= min(combinations, width) { .events } else if combinations <= width {
        .combinations
      } else { .units }
    let first = count
    var group = Group(
      token: token, basis: basis, rows: first..<first, slots: slots,
      probabilities: slots.map { events.events[$0.event].probability })
    switch basis {
    case .mean:
      var mean = [Double](repeating: 0, count: width)
      for (slot, probability) in zip(slots, group.probabilities) {
        let weight = probability * slot.backward
        Double.addScaled(gradients + slot.event * width, factor: weight, scale: nil, to: &mean, count: width)
      }
      append(mean)
    case .events: vectors += sent(slots, gradients)
    case .combinations:
      group.sent = sent(slots, gradients)
      combine(&group, events, loss, outputs)
    case .units:
      group.sent = sent(slots, gradients)
      for j in 0..<width { vectors += (0..<width).map { $0 == j ? 1 : 0 } }
    }
    group.rows = first..<count
    groups.append(group)
  }

  /// v of each slot.
  private func sent(_ slots: [ForwardEvents.Slot], _ gradients: UnsafePointer<Double>) -> [Double] {
    var rows = [Double](repeating: 0, count: slots.count * width)
    rows.withUnsafeMutableBufferPointer { rows in
      guard let rows = rows.baseAddress else { return }
      for (k, slot) in slots.enumerated() {
        Double.setScaled(
          gradients + slot.event * width, factor: slot.backward, scale: scale.map { UnsafePointer($0.elements) },
          to: rows + k * width, count: width)
      }
    }
    return rows
  }

  /// `m ω ⊙ (c + Σ_j m_j ω ⊙ f_j)` as a combination.
  private mutating func combine(
    _ group: inout Group, _ events: ForwardEvents, _ loss: TokenLoss, _ outputs: Matrix
  ) {
    let constant = count
    append(loss.offset)
    var rows = [Int?](repeating: nil, count: outputs.rows)
    for slot in group.slots {
      let start = group.terms.count
      group.terms.append(Term(row: constant, factor: slot.backward))
      // Laws with stand-ins have one event, which is its own basis.
      for other in events.slots[events.events[slot.event].slots] {
        let row = rows[other.expert] ?? count
        if rows[other.expert] == nil {
          rows[other.expert] = row
          append(zip(outputs.row(other.expert), 0..<width).map { $0 * (scale?.elements[$1] ?? 1) })
        }
        group.terms.append(Term(row: row, factor: slot.backward * other.forward))
      }
      group.termPlaces.append(start..<group.terms.count)
    }
  }

  /// Adds ω ⊙ vector.
  private mutating func append(_ vector: [Double]) {
    guard let scale else {
      vectors += vector
      return
    }
    for j in 0..<width { vectors.append(vector[j] * scale.elements[j]) }
  }
}
