/// How many tokens some passes work on together, so that a tile's numbers stay within what memory is allowed.
struct TileRoom: Sendable {
  private let room: Int
  /// The numbers that a token takes besides those of pairs.
  private let numbersPerToken: Int
  /// What pairs take after one first draw.
  private let numbersPerDraw: Int
  /// Of those, what they take again after each where some come without the others.
  private let numbersAgain: Int
  private let experts: Int

  init(_ passes: [LawPass], _ context: AuditContext) {
    room = context.room
    let shape = context.shape
    let (n, d, e) = (shape.experts, shape.inputs, shape.outputs)
    experts = n
    var (token, draw, again) = (0, 0, 0)
    for pass in passes {
      let (events, slots) = pass.law.size(experts: n)
      let vectors = min(slots, e)
      // An event with its two experts is 16 numbers; what goes back through one expert is there at its outputs, its hidden
      // units and its input.
      if pass.comesBack {
        // The terms of combinations are there one first draw at a time, and so is a gradient that the scale gets.
        draw += 16 * events
        token += events * (24 + (shape.scale ? 2 * e : 0)) + (3 * n + 1) * d + n * n
      } else if pass.isAveraged {
        // Gradients are there one first draw at a time.
        if pass.law.isOfPairs { draw += 16 * events } else { token += 16 * events }
        token += events * (d + e) + n * e
      } else if pass.law.isOfPairs {
        draw += events * (16 + e + d) + vectors * (e + shape.units + d)
      } else {
        token += events * (e + d + n) + (pass.isSpanned ? 0 : vectors * (e + shape.units + d))
      }
    }
    if passes.contains(where: \.isSpanned) { token += (n + 1) * (e + shape.units + d) }
    // All of a span is kept at the input of its expert; that of others than the first one drawn has at least two vectors.
    if passes.contains(where: \.comesBack) { (draw, again) = (draw + (n + 1) * d, n * d) }
    (numbersPerToken, numbersPerDraw, numbersAgain) = (token, draw, again)
  }

  /// As many tokens as there is room for, and at most 64.
  var tileSize: Int { min(max(room / max(1, numbersPerToken + experts * numbersPerDraw), 1), 64) }

  /// The first draws whose events come together: all of them, or as many as there is room for.
  func parts(firsts: Int) -> [Range<Int>] {
    guard numbersPerDraw > 0, numbersPerToken + experts * numbersPerDraw > room else { return [0..<firsts] }
    return AuditContext.tiles(
      firsts, of: max(1, (room - numbersPerToken - numbersAgain) / (numbersPerDraw + numbersAgain)))
  }
}
