import Addressing
import Configuration
import Forwarding
import Testing

@testable import Engine

@Suite struct CountsTests {
    private let address = Endpoint(address: IPAddress(v4: 0x7f00_0001), port: 1)

    private func configuration(backends: Int, listeners: Int) -> DaemonConfiguration {
        DaemonConfiguration(services: [
            ServiceConfiguration(
                name: "chat", listeners: Array(repeating: ListenerConfiguration(address), count: listeners),
                backends: (0..<backends).map { BackendConfiguration(name: "b\($0)", address: address) })
        ])
    }

    @Test func whatTheRegionHasSlotsForIsTaken() throws {
        try DaemonPreparation.checkCounts(configuration(backends: 16384, listeners: 1024))
    }

    @Test func moreIsRefusedInWords() throws {
        let error = #expect(throws: StartError.self) {
            try DaemonPreparation.checkCounts(configuration(backends: 16385, listeners: 1))
        }
        #expect(try #require(error).description.hasPrefix("16385 backends"))
    }

    /// The file is refused for it, before anything is started.
    @Test func theRegionHasSlotsForAllListenersThatAFileMayName() {
        #expect(ListenerConfiguration.most == SharedRegion.maximumListeners)
    }
}
