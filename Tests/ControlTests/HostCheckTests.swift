import Testing

@testable import Control

/// Which names the status page may be asked for by.
@Suite struct HostCheckTests {
    @Test(arguments: [
        nil, "", "evil.example", "evil.example:9464", "127.0.0.1.evil.example", "localhost.evil.example", ":9464",
        "127.0.0.1:9464:1", "127.0.0.1:94x", "[::1", "[::1]x", "[evil]:9464", "[127.0.0.1]", "localhost@evil.example",
        "status.example.org.evil", "0x7f000001", "127.1",
    ])
    func refused(host: String?) {
        #expect(!HostCheck(["status.example.org"]).allows(host))
    }

    @Test(arguments: [
        "127.0.0.1", "127.0.0.1:9464", "192.0.2.1:80", "[::1]", "[2001:db8::1]:9464", "localhost", "LOCALHOST:9464",
        "status.example.org", "Status.Example.org:443", "status.example.org.",
    ])
    func allowed(host: String) {
        #expect(HostCheck(["Status.example.org"]).allows(host))
    }
}
