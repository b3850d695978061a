import CStandardLibrary
import RoutingCore

/// A router of a specification as one that can be driven: sound, or with a mistake.
///
/// Where experts are drawn it takes a draw for each of them from the uniforms that follow those of its noise: a Gumbel draw where they are drawn one
/// after the other, a coin where they are the subset whose marginals are its gates.
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

  /// The largest of `log s + Γ`, or a subset of the law that the gates are marginals of.
  private func drawn(_ call: RouterCall) -> [[Int]] {
    let evaluation = RouterEvaluation(reference, call)
    let first = profile.specification.noise?.kind.takesUniforms == true ? profile.experts : 0
    func draw(_ t: Int, _ i: Int) -> Double {
      first + i < call.uniforms[t].count ? max(call.uniforms[t][first + i], 0x1p-64) : 0.5
    }
    return evaluation.tokens.enumerated().map { t, token in
      if profile.specification.gate?.source == .subsetMarginal {
        var next = 0
        let places = evaluation.subsets(token, profile.topK).sample {
          defer { next += 1 }
          return draw(t, token.open[next])
        }
        return places.map { token.open[$0] }
      }
      let noisy = token.scores.values.enumerated().map { i, score in
        score > 0 ? log(score) - log(-log(draw(t, i))) : -.infinity
      }
      return RouterEvaluation.largest(noisy, profile.topK)
    }
  }
}
