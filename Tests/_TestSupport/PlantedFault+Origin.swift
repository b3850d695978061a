extension PlantedFault {
  /// The public thread in which such a mistake was reported, or why it is looked for.
  public var origin: String {
    switch name {
    case "factor 2 dropped", "factor 2 kept in the conventional gradient", "factor 2 dropped on one side of the coin":
      "microsoft/SparseMixer#3"
    case "combine weights without gradient": "maxtext#5042"
    case "gradient on the next expert", "gradient sorted": "mlx#1428"
    case "sign of the gradient": "sign conventions of descent"
    case "argmax drawn for D", "gradient at the argmax for that at D": "sampling left out"
    case "0.3333 for ⅓": "constant of the published code"
    case "node ⅓ for ½", "node ⅓ for ½ in SparseMixer", "node ½ for ⅓": "versions mixed up"
    case "coin of 0.6 for ½", "coin of ½ for ¾", "coin that does not sum to one", "the argmax flips its coin too":
      "coin probabilities"
    case "1/τ dropped", "1/τ taken twice", "softmax(θ) for softmax(θ/τ)", "a factor 1/τ in ReinMax": "temperature"
    case "mask without renormalisation", "mask ignored", "threshold doubled", "the other mask rule":
      "two published masks"
    case "DARN with π not detached": "a detach() forgotten"
    case "log(1 − p) detached": "warned of in HengHugoZhao/ProbMoE, simple_v2.py"
    case "Plackett–Luce drawn for conditional Bernoulli", "score of the wrong law": "two laws of k-subsets"
    case "π detached", "mean not subtracted", "gating sample missing", "credit of the second draw dropped":
      "a term without gradient"
    case "a gradient for a single expert": "vllm#35499, one expert left"
    default: "definition"
    }
  }
}
