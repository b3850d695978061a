import FileFormats
import RoutingCore
import RoutingEstimators
import RoutingExpectations
import RoutingVerification

extension SampleAssessment {
  /// Reads a stream of samples to its end, or a list of outcomes, and assesses what it holds: what `routegrad assess` does.
  ///
  /// Memory does not grow with the number of samples. Streams of outcomes are read whole, up to ``Verification/mostOutcomes``.
  ///
  /// - Parameters:
  ///   - stream: the samples.
  ///   - name: what the stream is called in messages.
  ///   - target: what they are held against.
  ///   - gradient: the target's gradient.
  ///   - most: no more samples than these are read.
  ///   - options: how to say what samples leave open.
  ///   - onSamples: told now and then how many samples there were.
  /// - Throws: ``Refusal`` for the first thing that is wrong with the stream, and where a result overflows Float64.
  package init(
    from stream: SampleStream, name: String, against target: GradientTarget, gradient: [Double],
    atMost most: Int = .max, options: Options, onSamples: (Int) -> Void = { _ in }
  ) throws(Refusal) {
    do {
      if stream.areOutcomes {
        let outcomes = try Verification.outcomes(from: stream, name: name)
        try Self.requireDistribution(outcomes, name: name)
        try self.init(of: outcomes, against: target, gradient: gradient)
        return
      }
      var assessor = SampleAssessor(against: target, gradient: gradient)
      var batch = SampleBatch()
      while assessor.count < most, try stream.next(&batch) {
        let wanted = min(batch.gradients.count / gradient.count, most - assessor.count) * gradient.count
        batch.gradients.withUnsafeBufferPointer { assessor.add(UnsafeBufferPointer(rebasing: $0[..<wanted])) }
        onSamples(assessor.count)
      }
      guard assessor.count >= 2 else {
        throw Refusal(.wrongData, "\(name): expected at least 2 samples, got \(assessor.count)")
      }
      self = try assessor.assessment(options)
    } catch let refusal as Refusal {
      throw refusal
    } catch {
      throw Refusal(.wrongData, "\(name): \(error)")
    }
  }

  /// The gradient to hold samples against that draw so many experts, or subsets of them.
  ///
  /// - Throws: ``Refusal`` of code `wrongUsage` if the target is not defined on the problem.
  package static func gradient(
    of target: GradientTarget, draws: Int, subsets: SubsetLaw? = nil, on problem: RoutedProblem, location: String
  ) throws(Refusal) -> [Double] {
    do throws(Unavailable) {
      return try target.gradient(of: problem, draws: draws, subsets: subsets)
    } catch {
      throw Refusal(.wrongUsage, "\(location): \(target.rawValue): \(error)")
    }
  }

  /// Probabilities may miss 1 by this much, which is rounding in Float32.
  package static let probabilityTolerance = Criteria.standardTolerance

  /// - Throws: ``Refusal`` of code `wrongData` unless the probabilities of the outcomes sum to 1.
  package static func requireDistribution(_ outcomes: [ForeignOutcome], name: String) throws(Refusal) {
    var total = CompensatedSum()
    for outcome in outcomes { total += outcome.probability }
    guard (total.value - 1).magnitude <= probabilityTolerance else {
      throw Refusal(
        .wrongData, "\(name): probability: expected all outcomes, with probabilities that sum to 1, got \(total.value)")
    }
  }
}
