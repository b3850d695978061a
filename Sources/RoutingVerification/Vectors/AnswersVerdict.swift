import RouterSpecifications
import RoutingCore

/// What answers to golden vectors are worth, judged without the router that gave them.
///
/// Refuted is an answer that differs from the one expected by more than the tolerance; a mistake is named if a router that
/// makes it gives all the answers that differ. Undecided is a call without an answer, or an answer that lacks what the
/// vector expects. Proved holds for the vectors.
package struct AnswersVerdict: Sendable {
  /// What the answers should be of.
  package let specification: RouterSpecification
  /// What was forgiven, relative.
  package let tolerance: Double
  /// One finding for each vector, in order.
  package let findings: [Finding]
  /// The mistakes of which the refuted answers are; of those that give all other answers, too, if there are some.
  package let mistakes: [RouterMistake]

  /// What was found of the answer to one call.
  package struct Finding: Sendable, Equatable {
    /// The call's number, from 1.
    package var call: Int
    /// Proved, refuted or undecided.
    package var verdict: Verdict
    /// Where the answer differs; nil if it does not.
    package var difference: AnswerDifference?
    /// What is wrong, or missing; empty if nothing is.
    package var detail: String
  }

  /// Judges answers.
  ///
  /// - Parameters:
  ///   - answers: by the number of the call, from 1; of the right shape.
  ///   - vectors: what was asked, and is expected.
  ///   - specification: of the vectors.
  ///   - tolerance: what is forgiven, relative.
  package init(
    of answers: [Int: RouterAnswer], to vectors: [GoldenVector], of specification: RouterSpecification,
    tolerance: Double = GoldenVectors.tolerance
  ) {
    self.specification = specification
    self.tolerance = tolerance
    let comparison = AnswerComparison.ofVectors(specification, tolerance: tolerance)
    var answers = answers
    // null is said of a loss that there is none of, too.
    if specification.auxiliaryLosses.isEmpty { for number in answers.keys { answers[number]?.auxiliaryLoss = nil } }
    findings = vectors.enumerated().map { k, vector in
      Self.finding(k + 1, answers[k + 1], vector, comparison, experts: specification.experts)
    }
    mistakes = Self.mistakes(answers, findings.filter { $0.verdict == .refuted }.map(\.call), vectors, comparison)
  }

  /// Refuted if any answer is, else undecided if any is, else proved.
  package var verdict: Verdict { Verdict(combining: findings.map(\.verdict)) }

  private static func mistakes(
    _ answers: [Int: RouterAnswer], _ refuted: [Int], _ vectors: [GoldenVector], _ comparison: AnswerComparison
  ) -> [RouterMistake] {
    guard !refuted.isEmpty else { return [] }
    func isAnswer(_ number: Int, of mistake: RouterMistake) -> Bool {
      guard let answer = answers[number] else { return false }
      return Self.isAnswer(answer, of: mistake, to: vectors[number - 1], comparison)
    }
    let fitting = RouterMistake.allCases.filter { mistake in
      mistake.applies(to: comparison.specification) && refuted.allSatisfy { isAnswer($0, of: mistake) }
    }
    let everywhere = fitting.filter { mistake in answers.keys.allSatisfy { isAnswer($0, of: mistake) } }
    return everywhere.isEmpty ? fitting : everywhere
  }

  private static func finding(
    _ number: Int, _ answer: RouterAnswer?, _ vector: GoldenVector, _ comparison: AnswerComparison, experts: Int
  ) -> Finding {
    guard let answer else {
      return Finding(call: number, verdict: .undecided, difference: nil, detail: "no answer")
    }
    for (t, row) in answer.choice.enumerated() {
      if let stranger = row.first(where: { !(0..<experts).contains($0) }) {
        let detail = "token \(t) goes to expert \(stranger), of 0 to \(experts - 1)"
        return Finding(call: number, verdict: .refuted, difference: nil, detail: detail)
      }
    }
    if let difference = comparison.difference(answer, from: vector.expected, to: vector.call) {
      return Finding(call: number, verdict: .refuted, difference: difference, detail: "\(difference)")
    }
    let missing = vector.expected.parts.filter { !answer.parts.contains($0) }
    guard missing.isEmpty else {
      let names = missing.map(\.rawValue).joined(separator: ", ")
      return Finding(call: number, verdict: .undecided, difference: nil, detail: "not answered: \(names)")
    }
    return Finding(call: number, verdict: .proved, difference: nil, detail: "")
  }

  private static func isAnswer(
    _ answer: RouterAnswer, of mistake: RouterMistake, to vector: GoldenVector, _ comparison: AnswerComparison
  ) -> Bool {
    guard let own = RouterReference(comparison.specification, mistake: mistake).answer(to: vector.call),
      own.choice.count == answer.choice.count
    else { return false }
    return comparison.difference(answer, from: own, to: vector.call, in: vector.expected.parts) == nil
  }
}

extension RouterAnswer {
  /// The parts that it has.
  fileprivate var parts: [AnswerDifference.Part] {
    AnswerDifference.Part.allCases.filter { part in
      switch part {
      case .choice, .multipliers: true
      case .gradient: gradient != nil
      case .output: output != nil
      case .noiseGradient: noiseGradient != nil
      case .auxiliaryLoss: auxiliaryLoss != nil
      case .auxiliaryGradient: auxiliaryGradient != nil
      case .biasAfter: biasAfter != nil
      }
    }
  }
}
