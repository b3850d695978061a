import RouteGrad
import RouteGradTraining

/// Two routers on the default task, two runs each, every one in a folder of its own; and what comes of it.
public func smallComparison(in folder: String) throws -> String {
  var task = MixtureSettings()
  task.experts = 4
  var plan = TrainingPlan()
  plan.steps = 50
  for router in ["switch", "exact"] {
    for seed: UInt64 in [1, 2] {
      let manifest = try RunManifest(task, router: TrainingRouter(router), seed: seed, plan: plan)
      _ = try Trainer(RunFolder(creating: "\(folder)/\(router)-\(seed)", manifest)).run(threads: 1)
    }
  }
  let comparison = try Comparison(RunCollection(below: folder), baseline: "switch")
  return ComparisonReport(comparison).rendered(as: .table)
}
