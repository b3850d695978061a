import ArgumentParser
import RouteGrad
import RouteGradTraining

/// What every training run takes; what is not said is as the model's plan has it.
struct TrainingOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The folder of the run.", valueName: "folder"), completion: .directory)
  var output: String

  @Option(
    help: ArgumentHelp("The router, as id:key=value,...", valueName: "router"), completion: .list(Completion.routers))
  var router = "switch"

  @Option(parsing: .unconditional, help: ArgumentHelp("The seed, from 0 to 2^64 - 1.", valueName: "n"))
  var seed: UInt64 = 0

  @Option(parsing: .unconditional, help: ArgumentHelp("The number of steps.", valueName: "n"))
  var steps: Int?

  @Option(parsing: .unconditional, help: ArgumentHelp("The learning rate after the warm-up.", valueName: "eta"))
  var learningRate: Double?

  @Option(help: "How the learning rate goes on after the warm-up.")
  var schedule: TrainingPlan.Schedule?

  @Option(parsing: .unconditional, help: ArgumentHelp("The steps over which the learning rate rises.", valueName: "n"))
  var warmUp: Int?

  @Option(parsing: .unconditional, help: ArgumentHelp("The largest norm of all gradients together.", valueName: "x"))
  var clip: Double?

  @Option(parsing: .unconditional, help: ArgumentHelp("The steps between evaluations.", valueName: "k"))
  var evaluateEvery: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("Stop after so many evaluations without a new lowest loss. (default: never)", valueName: "n"))
  var patience: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The steps between audits of the router's gradient. (default: none)", valueName: "k"))
  var auditEvery: Int?

  @Option(parsing: .unconditional, help: ArgumentHelp("The steps between checkpoints.", valueName: "k"))
  var checkpointEvery: Int?

  func validate() throws {
    if output.isEmpty { throw ValidationError("'--output': expected the name of a folder, got none") }
  }

  /// A plan, with what was said.
  func plan(_ standard: TrainingPlan) -> TrainingPlan {
    var plan = standard
    plan.steps = steps ?? plan.steps
    plan.learningRate = learningRate ?? plan.learningRate
    plan.schedule = schedule ?? plan.schedule
    plan.warmUp = warmUp ?? plan.warmUp
    plan.clip = clip ?? plan.clip
    plan.evaluateEvery = evaluateEvery ?? plan.evaluateEvery
    plan.patience = patience ?? plan.patience
    plan.auditEvery = auditEvery ?? plan.auditEvery
    plan.checkpointEvery = checkpointEvery ?? plan.checkpointEvery ?? 100
    return plan
  }
}

extension TrainingPlan.Schedule: ExpressibleByArgument {}
