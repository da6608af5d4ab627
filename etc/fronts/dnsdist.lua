-- dnsdist's half of doc/fronts/dnsdist.md; mmproxy's half is dnsdist.conf.
-- Copy it to /etc/dnsdist/dnsdist.conf. Change the name server's address and the clients.

addLocal("0.0.0.0:53")
addLocal("[::]:53")

-- Who may ask. Behind a resolver these are your clients and nobody else.
setACL({"203.0.113.0/24", "2001:db8:c::/64"})

-- Over UDP and TCP alike. Checks are queries with a LOCAL header.
newServer({address="198.51.100.2:8053", name="dns", useProxyProtocol=true})
