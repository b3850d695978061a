import CStandardLibrary
import RoutingCore

/// A router of a specification as one that can be driven: sound, or with a mistake.
///
/// Where experts are drawn it takes a Gumbel draw for each of them from the uniforms that follow those of its noise.
public struct SpecifiedRouter: ForeignRouter {
  public let profile: RouterProfile
  private let reference: RouterReference

  /// A router that does what its profile says, but for a mistake.
  public init(_ profile: RouterProfile, mistake: RouterMistake? = nil) {
    self.profile = profile
    reference = RouterReference(profile.specification, mistake: mistake)
  }

  /// A router of a specification, with all the draws that it takes, in Float64.
  public init(of specification: RouterSpecification, mistake: RouterMistake? = nil) {
    let noise = specification.noise?.kind
    var uniforms = noise?.takesUniforms == true ? specification.experts : 0
    if specification.isSampled { uniforms += specification.experts }
    self.init(
      RouterProfile(specification, uniforms: uniforms, takes: noise == .uniformInput ? .input : .logits),
      mistake: mistake)
  }

  public func route(_ call: RouterCall) throws(RouterFailure) -> RouterAnswer {
    guard var answer = reference.answer(to: call) ?? reference.answer(to: call, given: drawn(call)) else {
      throw RouterFailure("its specification does not say how it chooses")
    }
    answer.logitsAfter = call.logits
    answer.dispatch = answer.choice.map { row in (0..<profile.experts).map { row.contains($0) ? 1 : 0 } }
    if profile.takes == .input {
      answer.expertInputs = answer.choice.enumerated().map { t, row in row.map { _ in call.logits[t] } }
    }
    return answer
  }

  /// The largest of `log s + Γ`.
  private func drawn(_ call: RouterCall) -> [[Int]] {
    let evaluation = RouterEvaluation(reference, call)
    let first = profile.specification.noise?.kind.takesUniforms == true ? profile.experts : 0
    return evaluation.tokens.enumerated().map { t, token in
      let noisy = token.scores.values.enumerated().map { i, score in
        let draw = first + i < call.uniforms[t].count ? call.uniforms[t][first + i] : 0.5
        return score > 0 ? log(score) - log(-log(max(draw, 0x1p-64))) : -.infinity
      }
      return RouterEvaluation.largest(noisy, profile.topK)
    }
  }
}
