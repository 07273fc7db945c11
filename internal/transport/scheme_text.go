package transport

// TextSchemes is the table for the text protocol. The article names no ports;
// nobody else has these.
func TextSchemes() []Scheme {
	return []Scheme{
		{Name: "text", Protocol: "iottext", Network: "tcp", Port: 8071},
		{Name: "texts", Protocol: "iottext", Network: "tcp", Port: 8871, TLS: true},
	}
}
