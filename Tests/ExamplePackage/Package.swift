// swift-tools-version: 6.2
import PackageDescription

// How another package tests its own estimator and its own router with RouteGrad, and trains with it: everything that README and
// guides promise of the Swift library is used here, as a user would. Run by
//   swift test --package-path Tests/ExamplePackage
let package = Package(
  name: "ExamplePackage",
  dependencies: [.package(name: "RouteGrad", path: "../..")],
  targets: [
    .target(name: "MyEstimator", dependencies: [.product(name: "RouteGrad", package: "RouteGrad")]),
    .target(
      name: "MyTraining",
      dependencies: [
        .product(name: "RouteGrad", package: "RouteGrad"), .product(name: "RouteGradTraining", package: "RouteGrad"),
      ]),
    .testTarget(name: "MyEstimatorTests", dependencies: ["MyEstimator"]),
    .testTarget(name: "MyTrainingTests", dependencies: ["MyTraining"]),
  ]
)
