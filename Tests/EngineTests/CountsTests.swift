import Addressing
import Configuration
import Testing

@testable import Engine

@Suite struct CountsTests {
    private let address = Endpoint(address: IPAddress(v4: 0x7f00_0001), port: 1)

    private func configuration(backends: Int, listeners: Int) -> DaemonConfiguration {
        DaemonConfiguration(services: [
            ServiceConfiguration(
                name: "chat", listeners: Array(repeating: address, count: listeners),
                backends: (0..<backends).map { BackendConfiguration(name: "b\($0)", address: address) })
        ])
    }

    @Test func whatTheRegionHasSlotsForIsTaken() throws {
        try DaemonPreparation.checkCounts(configuration(backends: 16384, listeners: 1024))
    }

    @Test(arguments: [(16385, 1, "16385 backends"), (1, 1025, "1025 listeners")])
    func moreIsRefusedInWords(backends: Int, listeners: Int, words: String) throws {
        let error = #expect(throws: StartError.self) {
            try DaemonPreparation.checkCounts(configuration(backends: backends, listeners: listeners))
        }
        #expect(try #require(error).description.hasPrefix(words))
    }
}
