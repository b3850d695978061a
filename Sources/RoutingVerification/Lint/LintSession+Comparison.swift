import RouterSpecifications
import RoutingCore

// Two routers against each other.

extension LintSession {
  func sameAs() throws(Stop) -> String {
    guard let other else { throw .notApplicable("there is no other router to compare it with") }
    let theirs = other.profile
    guard theirs.experts == profile.experts, theirs.uniforms == profile.uniforms, theirs.normals == profile.normals,
      theirs.takes == profile.takes, theirs.topK == profile.topK
    else {
      throw .undecided("\(theirs.name) is asked otherwise: other experts, chosen experts, draws or inputs are declared")
    }
    var compared = 0
    for call in callsForTwo() {
      let (mine, its) = (try ask(call), try ask(call, of: other))
      compared += 1
      guard let difference = comparison.difference(mine, from: its, to: call) else { continue }
      // A tie within rounding may be broken either way.
      if difference.part == .choice, reference.margin(of: call) <= leastMargin { continue }
      throw .refuted(
        "\(Words.call(call)): \(difference), which is what \(theirs.name) answers\(resemblance(mine, call))")
    }
    return
      "the same answers as \(theirs.name) to \(compared) calls: choices, multipliers, gradients, and what else both report"
  }

  private func callsForTwo() -> [RouterCall] {
    let crowd = min(specification.capacity.map { 2 * $0.limit + 2 } ?? 6, 64)
    let batches = (0..<rounds).map { randomCall(tokens: crowd, mode: $0 % 4 == 3 ? .eval : .train) }
    return batches + calls(StageCalls.Kind.allCases, each: rounds).map(\.call)
  }
}
