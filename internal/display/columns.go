package display

import (
	"github.com/iotctl/iotctl/internal/decode"
	"github.com/iotctl/iotctl/internal/selector"
)

// Columns shows the values of names, a line for each packet, with tabs between.
type Columns struct {
	Names   []string
	subject Subject
}

// NewColumns makes columns of names, as expressions have them.
func NewColumns(names []string, secrets bool) *Columns {
	return &Columns{Names: names, subject: Subject{Secrets: secrets, bare: true}}
}

// Append appends the line of p: several values of a name with commas between, and
// nothing for what is not there. Tabs, line feeds and what a terminal would obey are
// escaped, and so are commas in values.
func (c *Columns) Append(dst []byte, p *decode.Packet) []byte {
	c.subject.Of(p)
	for i, name := range c.Names {
		if i > 0 {
			dst = append(dst, '\t')
		}
		for j, v := range c.subject.Lookup(name) {
			if j > 0 {
				dst = append(dst, ',')
			}
			dst = appendCell(dst, v)
		}
	}
	return append(dst, '\n')
}

func appendCell(dst []byte, v selector.Value) []byte {
	before := len(dst)
	dst = appendEscaped(dst, v.String(), ',')
	if len(dst) == before {
		return append(dst, `""`...)
	}
	return dst
}
