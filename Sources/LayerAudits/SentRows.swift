import LayerTensors
import RoutingCore

/// What one expert is sent back by the events of some tokens under some laws, and what becomes of it on its way.
///
/// An event in which the expert takes part with the factor m sends it `v = m ω ⊙ G'(y)`. The way back is linear, so that only
/// vectors that span these have to go it (``Basis``), and what becomes of v is put together from what became of them.
struct SentRows {
  /// What goes back in place of a token's events under a law.
  enum Basis {
    /// The mean over all events; nothing else is asked for.
    case mean
    /// Each event's v.
    case events
    /// Under a loss with an affine gradient, what a token's v are combinations of, the same for all laws (``SentSpan``).
    case span
    /// The unit vectors, `[outputs]` of them.
    case units
  }

  /// A token's part under one law.
  struct Group {
    /// The place of the law among those of the tile.
    var law: Int
    /// The place of the token in the tile.
    var token: Int
    var basis: Basis
    /// Its vectors; none of its own if they are the token's span.
    var rows: Range<Int>
    /// The expert's slots.
    var slots: [ForwardEvents.Slot]
    /// The probability of each.
    var probabilities: [Double]
    /// v of each, `[slots, outputs]`, in terms of unit vectors.
    var sent: [Double] = []
    /// v of each as a combination of the span.
    var combinations = Combinations()

    /// The probability that the expert is sent anything.
    var share: Double { basis == .mean ? 1 : probabilities.reduce(0, +) }
  }

  private var expert: Int
  private let scale: Tensor<Double>?
  let width: Int
  private(set) var groups: [Group] = []
  /// `[rows, outputs]`.
  private(set) var vectors: [Double] = []
  /// The place of each row's token in the tile.
  private(set) var tokens: [Int] = []
  /// Of each token of the tile what spans its v, if anything asks for it.
  private(set) var spans: [SentSpan?]

  /// The number of vectors.
  var count: Int { tokens.count }

  init(expert: Int, tokens: Int, context: AuditContext) {
    self.expert = expert
    width = context.shape.outputs
    scale = context.layer.parameters.scale
    spans = Array(repeating: nil, count: tokens)
  }

  /// Whole spans of some tokens, the same for every expert.
  init(spansOf tokens: Range<Int>, _ context: AuditContext) {
    self.init(expert: 0, tokens: tokens.count, context: context)
    vectors.reserveCapacity(tokens.count * (context.shape.experts + 1) * width)
    for (place, index) in tokens.enumerated() {
      let span = SentSpan(whole: context.losses[index], experts: context.shape.experts, row: count)
      append(span.constant, times: 1, place)
      for i in 0..<context.shape.experts { append(context.outputs[index].row(i), times: 2, place) }
      spans[place] = span
    }
  }

  /// The same rows for an expert.
  func with(expert: Int) -> SentRows {
    var rows = self
    rows.expert = expert
    return rows
  }

  /// Collects a token's events under a law.
  ///
  /// - Parameters:
  ///   - law: its place among those of the tile.
  ///   - token: its place in the tile.
  ///   - events: what can happen.
  ///   - gradients: `G'` of each event, `[events, outputs]`; not needed where v are combinations of a span. Where nothing but means is
  ///     asked for, these, `[experts, outputs]`.
  ///   - pass: the law's.
  mutating func add(
    law: Int, token: Int, events: LawTile.Events, gradients: UnsafePointer<Double>?, _ pass: LawPass
  ) {
    guard !events.slots[expert].isEmpty else { return }
    let (context, slots) = (pass.context, events.slots[expert].map { events.list.slots[$0] })
    let basis: Basis =
      if pass.isAveraged { .mean } else if pass.isSpanned { .span } else if slots.count <= width { .events } else {
        .units
      }
    let first = count
    var group = Group(
      law: law, token: token, basis: basis, rows: first..<first, slots: slots,
      probabilities: slots.map { events.list.events[$0.event].probability })
    switch basis {
    case .mean: if let gradients { append(UnsafeBufferPointer(start: gradients + expert * width, count: width), token) }
    case .events: append(sent(slots, gradients), token)
    case .span:
      let index = events.token.index
      var span = spans[token] ?? SentSpan(context.losses[index], experts: context.shape.experts, row: count)
      if spans[token] == nil {
        vectors.reserveCapacity((count + context.shape.experts + 1) * width)
        append(span.constant, times: 1, token)
      }
      group.combinations.reserve(slots.count, terms: slots.count * 3)
      events.list.slots.withUnsafeBufferPointer { all in
        for slot in slots {
          let together = UnsafeBufferPointer(rebasing: all[events.list.events[slot.event].slots])
          for other in together where other.forward != 0 && span.needs(other.expert) {
            span.place(other.expert, row: count)
            append(context.outputs[index].row(other.expert), times: 2, token)
          }
          span.add(slot, with: together, to: &group.combinations)
          group.combinations.end()
        }
      }
      spans[token] = span
    case .units:
      group.sent = sent(slots, gradients)
      for j in 0..<width { append((0..<width).map { $0 == j ? 1 : 0 }, token) }
    }
    group.rows = first..<count
    groups.append(group)
  }

  /// v of each slot.
  private func sent(_ slots: [ForwardEvents.Slot], _ gradients: UnsafePointer<Double>?) -> [Double] {
    var rows = [Double](repeating: 0, count: slots.count * width)
    rows.withUnsafeMutableBufferPointer { rows in
      guard let rows = rows.baseAddress, let gradients else { return }
      for (k, slot) in slots.enumerated() {
        Double.setScaled(
          gradients + slot.event * width, factor: slot.backward, scale: scale.map { UnsafePointer($0.elements) },
          to: rows + k * width, count: width)
      }
    }
    return rows
  }

  private mutating func append(_ rows: some Collection<Double>, _ token: Int) {
    vectors += rows
    for _ in 0..<rows.count / width { tokens.append(token) }
  }

  /// Adds the vector times a power of the scale, `ω^power ⊙ vector`.
  private mutating func append(_ vector: some Collection<Double>, times power: Int, _ token: Int) {
    append(vector, token)
    guard let scale else { return }
    for _ in 0..<power { for j in 0..<width { vectors[vectors.count - width + j] *= scale.elements[j] } }
  }
}
