import LayerTensors
import RoutingCore
import RoutingEstimators

/// Some tokens of a chunk under several laws, whose vectors go back through each expert together.
struct TokenTile {
  private let context: AuditContext
  private let chunk: TokenChunk
  private let places: Range<Int>
  private let room: TileRoom

  /// - Parameter places: of the chunk's tokens, those of this tile.
  init(_ context: AuditContext, _ chunk: TokenChunk, _ places: Range<Int>, _ room: TileRoom) {
    self.context = context
    self.chunk = chunk
    self.places = places
    self.room = room
  }

  /// Adds what the tokens' gradients are to what was found of the tokens before, pass by pass.
  func add(_ passes: [LawPass], to found: inout [LawPass.Found]) {
    var laws = passes.map { LawTile($0, chunk, places) }
    let firsts = places.map { context.problems[chunk.tokens.lowerBound + $0].distribution.support.count }
    let parts = room.parts(firsts: firsts.max() ?? 0)
    for part in parts {
      for k in laws.indices { laws[k].begin(part) }
      let inputs = sendThroughExperts(&laws, isWhole: parts.count == 1)
      for k in laws.indices { laws[k].end(inputs) }
    }
    for k in laws.indices { laws[k].add(to: &found[k]) }
  }

  /// Sends every event's v back through every expert: `u = W₂ᵀ v ⊙ act'` behind its hidden units, `W₁ᵀ u` at its input.
  ///
  /// - Parameter isWhole: whether all events are there.
  /// - Returns: for laws that come back to it, what became of the spans at each expert's input.
  private func sendThroughExperts(_ laws: inout [LawTile], isWhole: Bool) -> [SpannedInputs] {
    let weights = context.layer.parameters.experts
    guard laws.contains(where: \.pass.goesThroughExperts) else { return [] }
    let areKept = laws.contains(where: \.comesBack)
    var kept: [SpannedInputs] = []
    // Where every expert gets what all others give, that is put together once.
    let tokens = chunk.tokens.lowerBound + places.lowerBound..<chunk.tokens.lowerBound + places.upperBound
    let isSame =
      isWhole && laws.contains { $0.pass.spansAll }
      && tokens.allSatisfy { context.problems[$0].distribution.support.count == context.shape.experts }
    let spans = isSame ? SentRows(spansOf: tokens, context) : nil
    for i in 0..<context.shape.experts {
      var rows = spans?.with(expert: i) ?? SentRows(expert: i, tokens: places.count, context: context)
      for (k, law) in laws.enumerated() { law.collect(at: k, into: &rows) }
      guard !rows.groups.isEmpty else {
        if areKept {
          kept.append(SpannedInputs(spans: rows.spans, rows: Tensor(rows: 0, columns: context.shape.inputs)))
        }
        continue
      }
      let units = BackwardUnits(
        pulled: pulledBack(rows.vectors, weights, expert: i), chunk.hidden[i], hidden: context.shape.hidden
      ) { places.lowerBound + rows.tokens[$0] }
      let inputs = Tensor<Double>(rows: rows.count, columns: context.shape.inputs)
      units.setInputs(weights, expert: i, adding: false, to: inputs.elements)
      for group in rows.groups { laws[group.law].add(group, of: rows, units, inputs: inputs.elements, expert: i) }
      if areKept { kept.append(SpannedInputs(spans: rows.spans, rows: inputs)) }
    }
    return kept
  }
}

/// What became of the spans of a tile's tokens at the input of one expert.
struct SpannedInputs {
  /// Of each token.
  let spans: [SentSpan?]
  /// `[rows, inputs]`.
  let rows: Tensor<Double>
}
