import FileFormats
import RoutingCore
import RoutingEstimators

/// A model's settings, as they stand in a manifest, and how the model is made from them.
///
/// A further model is a further type in ``ModelRegistry``.
package protocol ModelSettings: Sendable {
  /// The names of the models that these are settings of.
  static var ids: [String] { get }
  /// The model's name.
  var id: String { get }
  /// All settings, an object.
  var json: JSONValue { get }
  /// The weights of the auxiliary losses of the routers, which are among them.
  var auxiliary: AuxiliaryWeights { get set }
  /// Reads settings.
  init(id: String, _ fields: JSONFields) throws(InvalidInput)
  /// - Throws: `InvalidInput` for the first setting that is out of range.
  func validate() throws(InvalidInput)
  /// - Throws: `InvalidInput` if a router does not go with them.
  func validate(_ router: TrainingRouter) throws(InvalidInput)
  /// The model with fresh parameters.
  ///
  /// - Throws: `InvalidInput` if settings and router do not fit, or ``Refusal`` about files that the settings name.
  func model(router: TrainingRouter, seed: UInt64) throws -> any TrainableModel
  /// What an audit that tries experts one by one takes.
  ///
  /// - Throws: `InvalidInput` if it makes no sense for model and router.
  func contrastCost(_ router: TrainingRouter, tokens: Int) throws(InvalidInput) -> ContrastCost
  /// What else a run's folder holds, so that what was trained can be used without the files that it was trained on.
  func folderFiles() throws(Refusal) -> [(name: String, bytes: [UInt8])]
}

/// What trying experts one by one takes.
package struct ContrastCost: Sendable, Equatable {
  /// The layers, and their experts.
  package var layers, experts: Int
  /// The forward and backward passes of one sequence in an audit, at most.
  package var passes: Int
}

extension ModelSettings {
  package func contrastCost(_ router: TrainingRouter, tokens: Int) throws(InvalidInput) -> ContrastCost {
    throw InvalidInput("auditTokens", "expected 0, audits of \(id) are exact for every token as they are")
  }

  package func folderFiles() throws(Refusal) -> [(name: String, bytes: [UInt8])] { [] }
}

/// The models that can be trained.
package enum ModelRegistry {
  /// Every kind of settings.
  static let kinds: [any ModelSettings.Type] = [
    MixtureSettings.self, LanguageSettings.self, TranslationSettings.self,
  ]

  /// The settings of a model that a manifest describes.
  package static func settings(id: String, _ value: JSONValue) throws(InvalidInput) -> any ModelSettings {
    guard let kind = kinds.first(where: { $0.ids.contains(id) }) else {
      let ids = kinds.flatMap { $0.ids }
      throw InvalidInput("model", "expected one of \(ids.joined(separator: ", ")), got '\(id)'")
    }
    do throws(InvalidInput) {
      return try kind.init(id: id, JSONFields(value, of: "settings of \(id)"))
    } catch {
      throw error.inside("settings")
    }
  }
}

/// Everything that decides the bytes of a run, and who ran it: `manifest.json`.
public struct RunManifest: Sendable {
  package static let schema = "routegrad.run/1"

  /// The version of the program.
  package var version: String
  /// The commit of the program, if it was told.
  package var commit: String?
  package var settings: any ModelSettings
  public package(set) var router: TrainingRouter
  public package(set) var seed: UInt64
  public package(set) var plan: TrainingPlan

  package init(
    settings: any ModelSettings, router: TrainingRouter, seed: UInt64, plan: TrainingPlan, version: String,
    commit: String? = nil
  ) {
    self.settings = settings
    self.router = router
    self.seed = seed
    self.plan = plan
    self.version = version
    self.commit = commit
  }

  /// All of it, as it stands in the file.
  package var json: JSONValue {
    [
      "schema": .string(Self.schema), "version": .string(version), "commit": JSONValue(commit),
      "model": .string(settings.id), "settings": settings.json, "router": .string(router.specification),
      // As text: a number of JSON holds 53 bits.
      "seed": .string("\(seed)"), "plan": plan.json,
    ]
  }

  package init(_ value: JSONValue) throws(InvalidInput) {
    let fields = try JSONFields(
      value, of: "a manifest",
      only: ["schema", "version", "commit", "model", "settings", "router", "seed", "plan"])
    _ = try fields.word("schema", among: [Self.schema])
    version = try fields.string("version")
    commit = try fields.value("commit", "a string or null") == .null ? nil : fields.string("commit")
    settings = try ModelRegistry.settings(id: fields.string("model"), fields.value("settings", "settings"))
    let text = try fields.string("router")
    do throws(InvalidEstimator) {
      router = try TrainingRouter(text)
    } catch {
      throw InvalidInput("router", error.description)
    }
    do throws(InvalidInput) { try settings.validate(router) } catch { throw InvalidInput("router", error.expectation) }
    let digits = try fields.string("seed")
    guard let seed = UInt64(digits), "\(seed)" == digits else {
      throw InvalidInput(
        "seed", "expected a whole number from 0 to 2⁶⁴ − 1, as text, got \"\(digits.clipped(to: 40))\"")
    }
    self.seed = seed
    do throws(InvalidInput) {
      plan = try TrainingPlan(fields.value("plan", "a training plan"))
    } catch {
      throw error.inside("plan")
    }
    if plan.auditTokens > 0 {
      do throws(InvalidInput) {
        _ = try settings.contrastCost(router, tokens: plan.auditTokens)
      } catch {
        throw error.inside("plan")
      }
    }
  }

  /// - Throws: `InvalidInput` for the first setting that is out of range.
  package func validate() throws(InvalidInput) {
    try settings.validate()
    try settings.validate(router)
    try plan.validate()
    if plan.auditTokens > 0 { _ = try settings.contrastCost(router, tokens: plan.auditTokens) }
  }

  /// The model with fresh parameters.
  ///
  /// - Throws: ``Refusal`` about the files that it is trained on; settings are validated before.
  package func model() throws(Refusal) -> any TrainableModel {
    do {
      return try settings.model(router: router, seed: seed)
    } catch let error as Refusal {
      throw error
    } catch {
      throw Refusal(.wrongData, "\(settings.id): \(error)")
    }
  }
}
