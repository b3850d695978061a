import RoutingCore

extension RouterProfile {
  /// Whether two mistakes, or a mistake and none, give the same answers to some random calls: in a router of one expert the
  /// first gate is the last, and a normalised softmax is a softmax over the chosen.
  ///
  /// Where experts are drawn, answers are given the same choice: how often each comes is no matter of one call.
  ///
  /// - Parameters:
  ///   - a: a mistake.
  ///   - b: another, or nil for the sound router.
  ///   - tolerance: as in ``AnswerComparison``.
  ///   - calls: how many calls are compared.
  package func isSame(
    _ a: RouterMistake, as b: RouterMistake?, tolerance: Double = 1e-9, calls: Int = 24
  ) -> Bool {
    if a == b { return true }
    var source = CallGenerator(for: self, generator: Philox(seed: 7))
    let reference = RouterReference(specification)
    let comparison = AnswerComparison(of: specification, tolerance: tolerance)
    return (0..<calls).allSatisfy { k in
      let call = source.call(tokens: k < calls / 2 ? 1 : 6, mode: k % 4 == 3 ? .eval : .train)
      let drawn = reference.wanted(by: call) == nil ? (try? SpecifiedRouter(self).route(call))?.choice : nil
      func answer(_ mistake: RouterMistake?) -> RouterAnswer? {
        RouterReference(specification, mistake: mistake).answer(to: call, given: drawn)
      }
      guard let one = answer(a), let other = answer(b) else { return true }
      return one.choice.map(\.count) == other.choice.map(\.count)
        && comparison.difference(one, from: other, to: call) == nil
    }
  }
}
