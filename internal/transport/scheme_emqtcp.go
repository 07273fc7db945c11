package transport

// EMQTCPSchemes is the table for the EMQ private TCP protocol.
func EMQTCPSchemes() []Scheme {
	return []Scheme{
		{Name: "emqtcp", Protocol: "emqtcp", Network: "tcp", Port: 8090},
		{Name: "emqtcps", Protocol: "emqtcp", Network: "tcp", Port: 8091, TLS: true},
	}
}
