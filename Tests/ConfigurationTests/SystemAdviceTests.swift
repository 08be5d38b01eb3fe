import Testing

@testable import Configuration

@Suite struct SystemAdviceTests {
    private let configuration: DaemonConfiguration
    private var small = SystemLimits()

    init() throws {
        configuration = try ConfigurationLoader.load(
            path: nil, flags: FlagValues(listen: ["127.0.0.1:0"], backends: ["10.0.0.1:80", "10.0.0.2:80"])
        ).configuration
        small.somaxconn = 128
        small.localPorts = 32768...60999
        small.tcpMaxOrphans = 8192
        small.pipeUserPagesSoft = 16384
        small.conntrackMax = 65536
    }

    private func warnings(_ limits: SystemLimits, limit: Int?, privileged: Bool = false) -> [String] {
        SystemAdvice(configuration: configuration, connectionLimit: limit, isPrivileged: privileged).warnings(limits)
    }

    @Test func eachSettingThatBitesIsNamedWithItsCure() {
        #expect(
            warnings(small, limit: 100_000) == [
                "net.core.somaxconn is 128: when more clients than that arrive at once, some wait for a retransmission "
                    + "(sysctl -w net.core.somaxconn=4096)",
                "net.ipv4.ip_local_port_range is 32768 to 60999: 28232 connections to each of 2 backend addresses, "
                    + "56464 in all, but max-connections is 100000 (sysctl -w net.ipv4.ip_local_port_range="
                    + "\"1024 65535\", several addresses in \"source\", more backend addresses, or a lower "
                    + "max-connections)",
                "net.ipv4.tcp_max_orphans is 8192: when more connections than that are closed together, the kernel "
                    + "resets some and their last bytes are lost (sysctl -w net.ipv4.tcp_max_orphans=100000)",
                "fs.pipe-user-pages-soft is 16384: past 1024 pipes of 64 KiB new ones hold 8 KiB, and bulk transfer "
                    + "slows down (sysctl -w fs.pipe-user-pages-soft=262144)",
                "net.netfilter.nf_conntrack_max is 65536: room for 32768 connections, but max-connections is 100000; "
                    + "past it packets are dropped (sysctl -w net.netfilter.nf_conntrack_max=200000, or do not track "
                    + "these ports)",
            ])
    }

    @Test func whatFitsIsNotMentioned() {
        var ample = small
        ample.somaxconn = 4096
        ample.pipeUserPagesSoft = 0
        #expect(warnings(ample, limit: 8192) == [])
        #expect(warnings(SystemLimits(), limit: 1_000_000) == [])
    }

    @Test func theBoundsAreExact() {
        #expect(warnings(small, limit: 56_464).filter { $0.contains("port_range") } == [])
        #expect(warnings(small, limit: 56_465).filter { $0.contains("port_range") }.count == 1)
        #expect(warnings(small, limit: 32_768).filter { $0.contains("conntrack") } == [])
        #expect(warnings(small, limit: 32_769).filter { $0.contains("conntrack") }.count == 1)
        #expect(warnings(small, limit: 1024).filter { $0.contains("pipe-user") } == [])
        #expect(warnings(small, limit: 1025).filter { $0.contains("pipe-user") }.count == 1)
    }

    @Test func aPrivilegedDaemonHasNoBoundOnItsPipes() {
        #expect(warnings(small, limit: 100_000, privileged: true).filter { $0.contains("pipe-user") } == [])
    }

    @Test func withoutALimitOnlyWhatNeedsNoneIsJudged() {
        #expect(warnings(small, limit: nil).map { $0.prefix(16) } == ["net.core.somaxco", "fs.pipe-user-pag"])
    }

    @Test func thisMachinesSettingsAreRead() {
        let limits = SystemLimits.read()
        #expect((limits.somaxconn ?? 0) > 0)
        #expect((limits.localPorts?.count ?? 0) > 0)
        #expect((limits.tcpMaxOrphans ?? 0) > 0)
        #expect(limits.pipeUserPagesSoft != nil)
    }
}
