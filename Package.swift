// swift-tools-version: 6.2
import PackageDescription

// The layout and its import rules are described in docs/architecture.md; arrows point up this file only.
let package = Package(
  name: "RouteGrad",
  products: [
    .library(name: "RouteGrad", targets: ["RouteGrad"]),
    .library(
      name: "RoutingEstimators", targets: ["RoutingCore", "RoutingEstimators"]),
    .library(name: "CRouteGrad", type: .dynamic, targets: ["RouteGradABI"]),
    .executable(name: "routegrad", targets: ["routegrad-tool"]),
    .executable(name: "routegrad-bench", targets: ["routegrad-bench"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: [
    // MARK: C
    .systemLibrary(name: "CGSL", providers: [.apt(["libgsl-dev"]), .brew(["gsl"])]),
    .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),
    .systemLibrary(name: "CGLPK", providers: [.apt(["libglpk-dev"]), .brew(["glpk"])]),
    .target(name: "CBLASLoader", linkerSettings: [.linkedLibrary("dl", .when(platforms: [.linux]))]),
    .target(name: "CKernels"),
    .target(name: "CShippedProblems"),

    // MARK: Mathematics, without GSL and without input or output
    .target(name: "RoutingCore", dependencies: ["CKernels"]),
    .target(name: "RoutingEstimators", dependencies: ["RoutingCore"]),

    // MARK: Files
    .target(name: "StrictJSON", dependencies: ["RoutingCore"]),

    // MARK: Exact expectations, on GSL
    .target(name: "GSLNumerics", dependencies: ["CGSL"]),
    .target(name: "RoutingExpectations", dependencies: ["RoutingEstimators", "GSLNumerics", "CKernels"]),

    // MARK: Whole layers
    .target(
      name: "MixtureOfExperts", dependencies: ["RoutingEstimators", "CBLASLoader", "CGLPK", "CKernels"]),
    .target(name: "LayerAudit", dependencies: ["MixtureOfExperts", "RoutingExpectations", "StrictJSON"]),

    // MARK: Training
    .target(
      name: "SwitchTraining",
      dependencies: ["MixtureOfExperts", "LayerAudit", "StrictJSON", "GSLNumerics", "CKernels", "CZlib"]),

    // MARK: Judging code that is not ours
    .target(name: "RoutingVerification", dependencies: ["RoutingExpectations", "GSLNumerics"]),

    // MARK: Files and reports
    .target(
      name: "RoutingReports",
      dependencies: [
        "RoutingVerification", "LayerAudit", "SwitchTraining", "StrictJSON", "CShippedProblems", "CZlib",
      ]),
    .target(name: "RouteGrad", dependencies: ["RoutingReports", "SwitchTraining"]),

    // MARK: The C interface: its header, and what stands behind it
    .target(name: "CRouteGrad", exclude: ["without-glpk", "build.sh", "install.sh"]),
    .target(name: "RouteGradABI", dependencies: ["CRouteGrad", "RouteGrad"]),

    // MARK: Programs
    .executableTarget(
      name: "routegrad-tool",
      dependencies: [
        "RouteGrad", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .executableTarget(
      name: "routegrad-bench",
      dependencies: [
        "RouteGrad", "GSLNumerics", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),

    // MARK: Tests
    .target(name: "_TestSupport", dependencies: ["RoutingExpectations"], path: "Tests/_TestSupport"),
    .target(name: "_PlantedRouters", dependencies: ["RoutingVerification"], path: "Tests/_PlantedRouters"),
    .executableTarget(
      name: "lint-test-router", dependencies: ["RouteGrad", "_PlantedRouters"], path: "Tests/LintTestRouter"),
    .testTarget(name: "_TestSupportTests", dependencies: ["_TestSupport"]),
    .testTarget(name: "RoutingCoreTests", dependencies: ["RoutingCore", "CKernels", "_TestSupport"]),
    .testTarget(name: "RoutingEstimatorsTests", dependencies: ["RoutingEstimators", "_TestSupport"]),
    .testTarget(name: "GSLNumericsTests", dependencies: ["GSLNumerics", "_TestSupport"]),
    .testTarget(
      name: "RoutingExpectationsTests", dependencies: ["RoutingExpectations", "_TestSupport"]),
    .testTarget(
      name: "RoutingVerificationTests", dependencies: ["RoutingVerification", "_TestSupport", "_PlantedRouters"]),
    .testTarget(
      name: "MixtureOfExpertsTests",
      dependencies: ["MixtureOfExperts", "GSLNumerics", "CBLASLoader", "_TestSupport"]),
    .testTarget(name: "LayerAuditTests", dependencies: ["LayerAudit", "GSLNumerics", "_TestSupport"]),
    .testTarget(name: "SwitchTrainingTests", dependencies: ["SwitchTraining", "GSLNumerics", "_TestSupport"]),
    .testTarget(name: "StrictJSONTests", dependencies: ["StrictJSON", "_TestSupport"]),
    .testTarget(
      name: "RoutingReportsTests",
      dependencies: ["RoutingReports", "SwitchTraining", "StrictJSON", "_TestSupport", "_PlantedRouters"]),
    .testTarget(name: "RouteGradTests", dependencies: ["RouteGrad"]),
    .testTarget(name: "ABITests", dependencies: ["CRouteGrad", "RouteGradABI", "routegrad-tool", "_TestSupport"]),
    .testTarget(
      name: "ToolTests", dependencies: ["routegrad-tool", "lint-test-router", "RoutingReports", "_TestSupport"]),
  ]
)
