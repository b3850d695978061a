import FileFormats
import RoutingCore
import RoutingVerification

/// Judges a stream of samples: what `routegrad verify` does.
package enum Verification {
  /// Reads until there is a verdict or the stream ends.
  ///
  /// Memory does not grow with the number of samples. Streams of outcomes are read whole, up to ``mostOutcomes``.
  ///
  /// - Parameters:
  ///   - stream: the samples.
  ///   - name: what the stream is called in messages.
  ///   - claim: what they are held against.
  ///   - criteria: how closely.
  ///   - budget: the samples after which it gives up.
  ///   - onSamples: told now and then how many samples there were.
  /// - Throws: ``Refusal`` for the first thing that is wrong with the stream before the verdict is in, ``Refusal`` of
  ///   code `wrongUsage` if the tolerance hides the bias to be detected.
  package static func evidence(
    from stream: SampleStream, name: String, claim: Claim, criteria: Criteria, budget: Int = .max,
    onSamples: (Int) -> Void = { _ in }
  ) throws -> Evidence {
    if stream.areOutcomes { return try outcomes(from: stream, name: name, claim: claim, criteria: criteria) }
    var verifier: SampleVerifier
    do throws(SampleVerifier.ImpossibleCriteria) {
      verifier = try SampleVerifier(claim, criteria: criteria, draws: stream.drawsGiven, budget: budget)
    } catch {
      throw Refusal(.wrongUsage, "\(claim.subject): \(error)")
    }
    var batch = SampleBatch()
    while try stream.next(&batch) {
      let wantsMore = batch.gradients.withUnsafeBufferPointer { verifier.add($0, draws: batch.draws) }
      onSamples(verifier.count)
      if !wantsMore { return verifier.finish() }
    }
    guard verifier.count > 0 else { throw Refusal(.wrongData, "\(name): expected at least one sample, got none") }
    return verifier.finish()
  }

  /// More outcomes than this are not read.
  package static let mostOutcomes = OutcomeDistribution.enumerationLimit

  private static func outcomes(
    from stream: SampleStream, name: String, claim: Claim, criteria: Criteria
  ) throws -> Evidence {
    let outcomes = try outcomes(from: stream, name: name)
    return OutcomeVerifier.verdict(on: outcomes, claim: claim, criteria: criteria)
  }

  /// All outcomes of a stream that lists them.
  ///
  /// - Throws: ``Refusal``, also for more than ``mostOutcomes``.
  static func outcomes(from stream: SampleStream, name: String) throws(Refusal) -> [ForeignOutcome] {
    var batch = SampleBatch()
    var outcomes: [ForeignOutcome] = []
    while try stream.next(&batch) {
      outcomes += batch.outcomes
      guard outcomes.count <= mostOutcomes else {
        throw Refusal(.wrongData, "\(name): expected at most \(mostOutcomes) outcomes, got more")
      }
    }
    return outcomes
  }
}
