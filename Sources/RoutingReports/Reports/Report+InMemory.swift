import RoutingCore
import RoutingEstimators
import RoutingExpectations

extension Report {
  /// Reports on problems in memory, one's own estimators beside the library's, every estimator on every problem.
  ///
  /// ```swift
  /// let report = try Report([.mixture(problem)], estimators: [MyEstimator(), ReinMax()])
  /// print(report.rendered(as: .table))
  /// ```
  ///
  /// *Edge cases*: an estimator that is not defined on a problem, or lacks what a table does not hold, is reported with the
  /// reason. Problems without a name are called `problems[0]` and so on.
  ///
  /// - Parameters:
  ///   - problems: in the order in which they are reported.
  ///   - estimators: in the order in which they are reported.
  ///   - mask: the mask; nil for each problem's own, which tabulated losses have.
  ///   - assessment: against what they are held, and how.
  ///   - ownTargets: whether estimators that claim another target are held against that one as well.
  ///   - threads: the number of threads; it does not change the result.
  ///   - continuing: asked now and then, from any thread; false calls the report off.
  /// - Throws: ``Refusal``: of code `wrongUsage` if mask or target do not fit the problems, `wrongData` if a result
  ///   overflows Float64 or a tolerance is out of reach, `interrupted` if the report was called off.
  public init(
    _ problems: [RoutingProblem], estimators: [any GradientEstimator], mask: Mask? = nil,
    assessment: AssessmentOptions = AssessmentOptions(), ownTargets: Bool = false, threads: Int = 1,
    continuing: @Sendable () -> Bool = { true }
  ) throws(Refusal) {
    try self.init(
      on: problems.enumerated().map { FiledProblem($1, file: "problems[\($0)]") },
      options: Options(
        estimators: .listed(estimators), mask: mask, assessment: assessment, ownTargets: ownTargets, threads: threads),
      continuing: continuing)
  }
}
