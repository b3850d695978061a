import RoutingCore

/// What a comparison trains its routers on, and how, where nobody says otherwise.
package struct ComparedTask: Sendable {
  /// The model, whose auxiliary weights hold for every router unless they are tuned.
  package var settings: any ModelSettings
  /// How long; the learning rate is each router's own.
  package var plan: TrainingPlan
  /// The routers, as a list of ``TrainingRouter/routers(list:)``.
  package var routers: String
  /// The number of seeds, and of those for tuning.
  package var seeds, tuningSeeds: Int
  /// The learning rates that tuning begins with.
  package var rates: [Double]
  /// The learning rates that ship with the program; nil: they have to be tuned.
  package var tuned: TunedRates?

  /// One of the mixture tasks.
  package init(_ settings: MixtureSettings) {
    self.settings = settings
    var plan = TrainingPlan()
    (plan.steps, plan.auditEvery) = (settings.shared > 0 ? 800 : 600, 200)
    self.plan = plan
    routers = TrainingRouter.standardList
    (seeds, tuningSeeds) = (8, 4)
    rates = [0.005, 0.01, 0.02, 0.03]
    tuned = TunedRates.standard(for: settings)
  }

  /// A language model.
  package init(_ settings: LanguageSettings) {
    self.init(deep: settings)
    (plan.steps, plan.warmUp, plan.beta2, plan.clip) = (600, 60, 0.99, 1)
    // An interrupt saves whatever the step; of shorter runs nothing else is worth saving.
    (plan.evaluateEvery, plan.auditEvery, plan.checkpointEvery) = (50, 300, 1000)
  }

  /// A translation.
  package init(_ settings: TranslationSettings) {
    self.init(deep: settings)
    (plan.steps, plan.warmUp, plan.schedule, plan.clip) = (600, 100, .inverseSquareRoot, 1)
    (plan.evaluateEvery, plan.auditEvery, plan.checkpointEvery) = (50, 300, 1000)
    if settings.training == nil {
      // Enough for the made corpus.
      (plan.steps, plan.warmUp, plan.evaluateEvery, plan.auditEvery) = (200, 50, 25, 200)
    }
  }

  private init(deep settings: any ModelSettings) {
    self.settings = settings
    plan = TrainingPlan()
    routers = Self.deepRouters
    (seeds, tuningSeeds) = (6, 2)
    rates = [0.001, 0.002, 0.003]
    tuned = nil
  }

  /// The routers of a network's comparison: what works at depth at no cost, and both controls.
  private static let deepRouters = "switch,masked-switch,sparsemixer,argmax-midpoint,gate-one,none"
}

extension LanguageSettings {
  /// What a comparison takes unless it is told otherwise: 66 runs of it and their tuning are minutes.
  package static func compared(text: String) -> LanguageSettings {
    var settings = LanguageSettings(text: text)
    (settings.context, settings.batch, settings.shape) = (64, 8, .compared)
    return settings
  }
}

extension TranslationSettings {
  /// Likewise.
  package static var compared: TranslationSettings {
    var settings = TranslationSettings()
    (settings.model.context, settings.model.batchTokens, settings.shape) = (64, 512, .compared)
    return settings
  }
}

extension TransformerShape {
  fileprivate static var compared: TransformerShape {
    var shape = TransformerShape()
    (shape.width, shape.hidden) = (64, 128)
    return shape
  }
}
