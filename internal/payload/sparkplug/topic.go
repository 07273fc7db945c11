package sparkplug

import (
	"fmt"
	"strings"
)

// kind is what a topic says of a payload (3.0, chapter 4).
type kind uint8

const (
	other kind = iota // no topic of Sparkplug
	nbirth
	ndeath
	dbirth
	ddeath
	ndata
	ddata
	ncmd
	dcmd
	state
)

func (k kind) isBirth() bool   { return k == nbirth || k == dbirth }
func (k kind) isData() bool    { return k == ndata || k == ddata || k == ncmd || k == dcmd }
func (k kind) isDevice() bool  { return k == dbirth || k == ddeath || k == ddata || k == dcmd }
func (k kind) isCommand() bool { return k == ncmd || k == dcmd }

var kindNames = [...]string{"", "NBIRTH", "NDEATH", "DBIRTH", "DDEATH", "NDATA", "DDATA", "NCMD", "DCMD", "STATE"}

func (k kind) String() string { return kindNames[k] }

// parseKind is other for what is no type of an edge node's messages.
func parseKind(s string) kind {
	for k := nbirth; k < state; k++ {
		if kindNames[k] == s {
			return k
		}
	}
	return other
}

type topic struct {
	kind   kind
	group  string // with what a bridge has put in front: "plant/spBv1.0/G1"
	node   string
	device string // "" = the edge node itself
}

// id is what an edge node is known by.
func (t topic) id() string { return t.group + "/" + t.node }

// name is what people know it by: "G1/N1", "G1/N1/D1".
func (t topic) name() string {
	group := t.group[strings.LastIndexByte(t.group, '/')+1:]
	if t.device != "" {
		return group + "/" + t.node + "/" + t.device
	}
	return group + "/" + t.node
}

// edge is the name of the edge node.
func (t topic) edge() string { return topic{group: t.group, node: t.node}.name() }

const namespace = "spBv1.0"

// parseTopic reads spBv1.0/GROUP/TYPE/NODE[/DEVICE], spBv1.0/STATE/HOST and, of
// 2.2, STATE/HOST. Of topics that are none of them the kind is other; the error
// says what is odd about one that begins as they do.
func parseTopic(s string) (topic, error) {
	var front, rest string
	if i := strings.Index("/"+s, "/"+namespace+"/"); i >= 0 {
		front, rest = s[:i], s[i+len(namespace)+1:]
	} else if strings.HasPrefix(s, "STATE/") && strings.Count(s, "/") == 1 {
		return topic{kind: state}, nil
	} else {
		return topic{}, nil
	}
	levels := strings.Split(rest, "/")
	if levels[0] == "STATE" && len(levels) == 2 {
		return topic{kind: state}, nil
	}
	if len(levels) < 3 || len(levels) > 4 {
		return topic{}, fmt.Errorf("topic %q is not %s/GROUP/TYPE/NODE[/DEVICE]", s, namespace)
	}
	t := topic{kind: parseKind(levels[1]), group: front + namespace + "/" + levels[0], node: levels[2]}
	if t.kind == other {
		return topic{}, fmt.Errorf("%q is no message type of Sparkplug B", levels[1])
	}
	if len(levels) == 4 {
		t.device = levels[3]
	}
	if t.kind.isDevice() != (t.device != "") {
		return topic{}, fmt.Errorf("topic %q: %s", s, map[bool]string{
			true: "the device is missing", false: levels[1] + " has no device",
		}[t.kind.isDevice()])
	}
	return t, nil
}

// rebirth is a command line that asks the edge node for its births, "" if its
// names are not such that a terminal should be given them.
func (t topic) rebirth() string {
	to := t.group + "/NCMD/" + t.node
	for _, r := range to {
		if r < ' ' || r == 0x7f || r == '\'' {
			return ""
		}
	}
	return "iotctl pub -t '" + to + "' --payload sparkplug" +
		` -m '{"timestamp":"now","metrics":[{"name":"Node Control/Rebirth","datatype":"Boolean","value":true}]}'`
}
