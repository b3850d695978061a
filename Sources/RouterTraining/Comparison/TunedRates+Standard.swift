extension TunedRates {
  /// The rates that ship with the program: what `routegrad compare --tune --tune-seeds 16` found on the three tasks of
  /// docs/guides/training.md.
  package static let standard = [
    TunedRates(
      model: "mixture-regression", shared: 0.75,
      rates: [
        ("switch", 0.03), ("masked-switch", 0.01), ("sparsemixer", 0.005), ("sparsemixer-v2", 0.01),
        ("argmax-midpoint", 0.01), ("null-contrast", 0.01), ("surrogate-experts", 0.01), ("exact:expert=sample", 0.01),
        ("exact", 0.01),
      ]),
    TunedRates(
      model: "mixture-regression", shared: 0,
      rates: [
        ("switch", 0.01), ("masked-switch", 0.005), ("sparsemixer", 0.005), ("sparsemixer-v2", 0.01),
        ("argmax-midpoint", 0.01), ("null-contrast", 0.01), ("surrogate-experts", 0.01), ("exact:expert=sample", 0.01),
        ("exact", 0.01),
      ]),
    TunedRates(
      model: "mixture-classification", shared: nil,
      rates: [
        ("switch", 0.005), ("masked-switch", 0.01), ("sparsemixer", 0.01), ("sparsemixer-v2", 0.01),
        ("argmax-midpoint", 0.005), ("null-contrast", 0.02), ("surrogate-experts", 0.01), ("exact:expert=sample", 0.02),
        ("exact", 0.02),
      ]),
  ]

  /// The shipped rates of the task that is nearest to one.
  package static func standard(for settings: MixtureSettings) -> TunedRates {
    let candidates = standard.filter { $0.model == settings.id }
    let nearest = candidates.min {
      abs(($0.shared ?? 0) - settings.shared) < abs(($1.shared ?? 0) - settings.shared)
    }
    return nearest ?? standard[0]
  }
}
