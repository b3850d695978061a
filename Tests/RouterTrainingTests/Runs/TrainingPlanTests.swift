import FileFormats
import RouterTraining
import Testing

struct TrainingPlanTests {
  private static func plan(_ schedule: TrainingPlan.Schedule, warmUp: Int) -> TrainingPlan {
    var plan = TrainingPlan()
    (plan.schedule, plan.warmUp, plan.learningRate) = (schedule, warmUp, 0.5)
    return plan
  }

  @Test(arguments: [
    (TrainingPlan.Schedule.constant, 20, 1, 0.025), (.constant, 20, 10, 0.25), (.constant, 20, 20, 0.5),
    (.constant, 20, 1000, 0.5), (.constant, 0, 1, 0.5), (.inverseSquareRoot, 20, 10, 0.25),
    (.inverseSquareRoot, 20, 20, 0.5), (.inverseSquareRoot, 20, 80, 0.25), (.inverseSquareRoot, 0, 4, 0.25),
  ])
  func rates(schedule: TrainingPlan.Schedule, warmUp: Int, step: Int, rate: Double) {
    #expect(Self.plan(schedule, warmUp: warmUp).rate(step: step) == rate)
  }

  /// The largest rates, whose multiples overflow.
  @Test(arguments: [1, 2, 19, 20, 100])
  func largestRates(step: Int) {
    var plan = Self.plan(.inverseSquareRoot, warmUp: 20)
    plan.learningRate = .greatestFiniteMagnitude
    let rate = plan.rate(step: step)
    #expect(rate > 0 && rate <= .greatestFiniteMagnitude)
  }

  @Test func readsBack() throws {
    var plan = Self.plan(.inverseSquareRoot, warmUp: 7)
    #expect(try TrainingPlan(plan.json) == plan)
    (plan.clip, plan.patience, plan.auditEvery, plan.checkpointEvery) = (0.5, 3, 40, 50)
    #expect(try TrainingPlan(plan.json) == plan)
  }

  @Test(arguments: [
    \TrainingPlan.steps, \.evaluateEvery,
  ]) func refusesWhatIsOutOfRange(setting: WritableKeyPath<TrainingPlan, Int> & Sendable) throws {
    var plan = TrainingPlan()
    plan[keyPath: setting] = 0
    #expect(throws: (any Error).self) { try plan.validate() }
    plan[keyPath: setting] = 1
    try plan.validate()
    plan.learningRate = .nan
    #expect(throws: (any Error).self) { try plan.validate() }
  }
}
