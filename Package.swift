// swift-tools-version: 6.2
import PackageDescription

// The layout and its import rules are described in docs/architecture.md; arrows point up this file only.
let package = Package(
  name: "RouteGrad",
  products: [
    .library(name: "RouteGrad", targets: ["RouteGrad"]),
    .library(name: "RouteGradTraining", targets: ["RouteGradTraining"]),
    .library(name: "RoutingEstimators", targets: ["RoutingCore", "RoutingEstimators"]),
    .library(name: "CRouteGrad", type: .dynamic, targets: ["RouteGradABI"]),
    .executable(name: "routegrad", targets: ["routegrad-tool"]),
    .executable(name: "routegrad-bench", targets: ["routegrad-bench"]),
  ],
  traits: [
    .trait(name: "BASE", description: "BASE's balanced routing of training layers, which GLPK solves."),
    .default(enabledTraits: ["BASE"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
  ],
  targets: [
    // MARK: C
    .systemLibrary(name: "CGSL", providers: [.apt(["libgsl-dev"]), .brew(["gsl"])]),
    .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),
    .systemLibrary(name: "CGLPK", providers: [.apt(["libglpk-dev"]), .brew(["glpk"])]),
    .target(name: "CStandardLibrary"),
    .target(name: "CBLASLoader", linkerSettings: [.linkedLibrary("dl", .when(platforms: [.linux]))]),
    .target(name: "CKernels"),
    .target(name: "CProcess"),
    .target(name: "CShippedProblems"),

    // MARK: Mathematics, without GSL and without input or output
    .target(name: "RoutingCore", dependencies: ["CStandardLibrary", "CKernels"]),
    .target(name: "RoutingEstimators", dependencies: ["CStandardLibrary", "RoutingCore"]),
    .target(name: "RoutingExpectations", dependencies: ["RoutingCore", "RoutingEstimators", "CKernels"]),
    .target(name: "RouterSpecifications", dependencies: ["CStandardLibrary", "RoutingCore"]),
    .target(
      name: "LayerTensors", dependencies: ["RoutingCore", "CBLASLoader", "CKernels", "CStandardLibrary"]),

    // MARK: Expectations over continuous noise, on GSL
    .target(name: "GSLNumerics", dependencies: ["CGSL"]),
    .target(
      name: "NoiseIntegrals",
      dependencies: [
        "CStandardLibrary", "RoutingCore", "RoutingEstimators", "RoutingExpectations", "GSLNumerics", "CKernels",
      ]),

    // MARK: Files
    .target(
      name: "FileFormats",
      dependencies: [
        "CStandardLibrary", "RoutingCore", "CZlib", .product(name: "SystemPackage", package: "swift-system"),
      ]),

    // MARK: The judge's wing
    .target(
      name: "RoutingVerification",
      dependencies: [
        "CStandardLibrary", "RoutingCore", "RoutingEstimators", "RoutingExpectations", "RouterSpecifications",
        "GSLNumerics",
      ]),
    .target(
      name: "LayerAudits",
      dependencies: [
        "CStandardLibrary", "RoutingCore", "RoutingEstimators", "RoutingExpectations", "RouterSpecifications",
        "LayerTensors", "FileFormats",
      ]),
    .target(
      name: "RoutingReports",
      dependencies: [
        "CStandardLibrary", "RoutingCore", "RoutingEstimators", "RoutingExpectations", "RouterSpecifications",
        "RoutingVerification", "LayerAudits", "FileFormats",
        "CShippedProblems",
      ]),
    .target(
      name: "RouteGrad",
      dependencies: [
        "RoutingCore", "RoutingEstimators", "RoutingExpectations", "NoiseIntegrals", "RouterSpecifications",
        "RoutingVerification", "LayerTensors",
        "LayerAudits", "FileFormats", "RoutingReports",
      ]),

    // MARK: The training wing
    .target(
      name: "MixtureOfExperts",
      dependencies: [
        "CStandardLibrary", "RoutingCore", "RoutingEstimators", "RouterSpecifications", "LayerTensors", "CKernels",
        .target(name: "CGLPK", condition: .when(traits: ["BASE"])),
      ]),
    .target(
      name: "RouterTraining",
      dependencies: [
        "CStandardLibrary", "RoutingCore", "RoutingEstimators", "RoutingExpectations", "RouterSpecifications",
        "NoiseIntegrals", "LayerTensors", "MixtureOfExperts",
        "FileFormats", "GSLNumerics", "CKernels", .product(name: "SystemPackage", package: "swift-system"),
      ]),
    .target(
      name: "TrainingReports",
      dependencies: ["CStandardLibrary", "RoutingCore", "RouterTraining", "RoutingReports", "FileFormats"]),
    .target(
      name: "RouteGradTraining",
      dependencies: ["LayerTensors", "MixtureOfExperts", "RouterTraining", "TrainingReports"]),

    // MARK: The C interface: its header, and what stands behind it
    .target(name: "CRouteGrad", exclude: ["build.sh", "install.sh"]),
    .target(name: "RouteGradABI", dependencies: ["CStandardLibrary", "CRouteGrad", "RouteGrad"]),

    // MARK: Programs
    .executableTarget(
      name: "routegrad-tool",
      dependencies: [
        "CStandardLibrary", "RouteGrad", "RouteGradTraining", "CProcess",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "SystemPackage", package: "swift-system"),
      ]),
    .executableTarget(
      name: "routegrad-bench",
      dependencies: [
        "RouteGrad", "RouteGradTraining", "GSLNumerics", "FileFormats", "RoutingCore", "RouterTraining",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),

    // MARK: Tests
    .target(
      name: "_TestSupport",
      dependencies: ["CStandardLibrary", "RoutingCore", "RoutingEstimators", "RoutingExpectations"],
      path: "Tests/_TestSupport"),
    .target(
      name: "_PlantedRouters",
      dependencies: ["CStandardLibrary", "RoutingCore", "RouterSpecifications", "RoutingVerification"],
      path: "Tests/_PlantedRouters"),
    .executableTarget(
      name: "lint-test-router", dependencies: ["CStandardLibrary", "RouteGrad", "_PlantedRouters"],
      path: "Tests/LintTestRouter"),
    .testTarget(name: "_TestSupportTests", dependencies: ["_TestSupport"]),
    .testTarget(
      name: "RoutingCoreTests", dependencies: ["CStandardLibrary", "RoutingCore", "CKernels", "_TestSupport"]),
    .testTarget(
      name: "RoutingEstimatorsTests",
      dependencies: ["CStandardLibrary", "RoutingCore", "RoutingEstimators", "_TestSupport"]),
    .testTarget(
      name: "RoutingExpectationsTests",
      dependencies: [
        "CStandardLibrary", "RoutingCore", "RoutingEstimators", "RoutingExpectations", "NoiseIntegrals", "GSLNumerics",
        "_TestSupport",
      ]),
    .testTarget(
      name: "LayerTensorsTests", dependencies: ["LayerTensors", "RoutingCore", "CBLASLoader", "_TestSupport"]),
    .testTarget(name: "GSLNumericsTests", dependencies: ["CStandardLibrary", "GSLNumerics", "_TestSupport"]),
    .testTarget(
      name: "NoiseIntegralsTests",
      dependencies: [
        "CStandardLibrary", "RoutingCore", "RoutingEstimators", "RoutingExpectations", "NoiseIntegrals", "GSLNumerics",
        "RoutingVerification", "CKernels", "_TestSupport",
      ]),
    .testTarget(
      name: "RouterSpecificationsTests",
      dependencies: [
        "CStandardLibrary", "RoutingCore", "RouterSpecifications", "GSLNumerics", "RoutingReports", "FileFormats",
        "_TestSupport",
      ]),
    .testTarget(name: "FileFormatsTests", dependencies: ["FileFormats", "RoutingCore", "_TestSupport"]),
    .testTarget(
      name: "RoutingVerificationTests",
      dependencies: [
        "CStandardLibrary", "RoutingCore", "RoutingEstimators", "RoutingExpectations", "NoiseIntegrals",
        "RouterSpecifications", "RoutingVerification", "_TestSupport", "_PlantedRouters",
      ]),
    .testTarget(
      name: "LayerAuditsTests",
      dependencies: [
        "CStandardLibrary", "RoutingCore", "RoutingEstimators", "RoutingExpectations", "RouterSpecifications",
        "LayerTensors", "LayerAudits", "FileFormats", "GSLNumerics", "_TestSupport",
      ]),
    .testTarget(
      name: "RoutingReportsTests",
      dependencies: [
        "RoutingCore", "RoutingEstimators", "RoutingExpectations", "NoiseIntegrals", "RouterSpecifications",
        "RoutingVerification", "LayerAudits", "RoutingReports", "FileFormats", "_TestSupport", "_PlantedRouters",
      ]),
    .testTarget(name: "RouteGradTests", dependencies: ["RouteGrad"]),
    .testTarget(
      name: "MixtureOfExpertsTests",
      dependencies: [
        "RoutingCore", "RoutingEstimators", "RouterSpecifications", "LayerTensors", "MixtureOfExperts", "GSLNumerics",
        "FileFormats", "LayerAudits", "RoutingReports", "_TestSupport",
      ]),
    .testTarget(
      name: "RouterTrainingTests",
      dependencies: [
        "RoutingCore", "RoutingEstimators", "RoutingExpectations", "NoiseIntegrals", "LayerTensors", "MixtureOfExperts",
        "RouterTraining", "FileFormats", "GSLNumerics", "_TestSupport",
      ]),
    .testTarget(
      name: "TrainingReportsTests",
      dependencies: ["RoutingReports", "RouterTraining", "TrainingReports", "FileFormats", "_TestSupport"]),
    .testTarget(
      name: "ABITests",
      dependencies: ["CStandardLibrary", "CRouteGrad", "RouteGradABI", "routegrad-tool", "_TestSupport"]),
    .testTarget(name: "BenchTests", dependencies: ["routegrad-bench", "RouteGrad", "FileFormats"]),
    .testTarget(
      name: "ToolTests",
      dependencies: [
        "CStandardLibrary", "routegrad-tool", "lint-test-router", "RouterSpecifications", "RoutingReports",
        "_TestSupport",
      ]),
  ]
)
