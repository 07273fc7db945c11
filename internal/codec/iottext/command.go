package iottext

import "strconv"

// Command is the first word of a line's meaning.
type Command uint8

// Commands. Sub, Msg and Close are said by both sides.
const (
	Hello    Command = iota + 1 // a greeting, and the answer to Ask
	Sub                         // subscribe to a variable; its new value
	Unsub                       // end a subscription
	UnsubAll                    // end all of them
	Pub                         // give a variable a value
	Del                         // take its value away
	Msg                         // a message to a device, or from one
	ID                          // who the client is
	Close                       // the end
	Ask                         // is anybody there?
	OK                          // done
	Bad                         // not done
)

var commandNames = [...]string{
	Hello: "HELLO!", Sub: "SUB", Unsub: "UNSUB", UnsubAll: "UNSUBALL", Pub: "PUB", Del: "DEL",
	Msg: "MSG", ID: "ID", Close: "CLOSE", Ask: "HELLO?", OK: "OK", Bad: "BAD",
}

// String is the command as it is written.
func (c Command) String() string {
	if c == 0 || int(c) >= len(commandNames) {
		return "command " + strconv.Itoa(int(c))
	}
	return commandNames[c]
}

// Side is who says a line.
type Side uint8

// Sides. Either is for readers that do not know.
const (
	Client Side = 1 << iota
	Server
	Either = Client | Server
)

func (s Side) String() string {
	switch s {
	case Client:
		return "client"
	case Server:
		return "server"
	}
	return "either side"
}

// key is a key that means something.
type key uint8

const (
	keyVariable key = iota
	keyValue
	keyDevice
	keyID
	keyPassword
	keyReason
	keyTime
	keyCommand // not a field of any form
)

var keyNames = [...]string{
	keyVariable: "VARIABLE", keyValue: "VALUE", keyDevice: "DEVICE", keyID: "ID",
	keyPassword: "PASSWORD", keyReason: "REASON", keyTime: "TIME", keyCommand: "COMMAND",
}

// keySet is a set of keys, a bit for each.
type keySet uint16

func setOf(keys ...key) (s keySet) {
	for _, k := range keys {
		s |= 1 << k
	}
	return s
}

func (s keySet) has(k key) bool { return s&(1<<k) != 0 }

// form is what one side says with a command. The article has no PASSWORD,
// REASON and TIME; whoever does not know them passes over them.
type form struct {
	command Command
	from    Side
	needs   []key
	may     []key
}

var forms = [...]form{
	{Hello, Client, nil, nil},
	{Sub, Server, []key{keyVariable, keyValue}, []key{keyTime}}, // before the client's, which has less
	{Sub, Client, []key{keyVariable}, nil},
	{Unsub, Client, []key{keyVariable}, nil},
	{UnsubAll, Client, nil, nil},
	{Pub, Client, []key{keyVariable, keyValue}, nil},
	{Del, Client, []key{keyVariable}, nil},
	{Msg, Client, []key{keyDevice, keyValue}, nil},
	{Msg, Server, []key{keyDevice, keyValue}, []key{keyTime}},
	{ID, Client, []key{keyID}, []key{keyPassword}},
	{Close, Client, nil, nil},
	{Close, Server, nil, []key{keyReason}},
	{Ask, Server, nil, nil},
	{OK, Server, nil, nil},
	{Bad, Server, nil, []key{keyReason}},
}

// formOf is what from says with c; the first that has all that it needs, given
// the keys that are there, or the last otherwise. nil: from never says it.
func formOf(c Command, from Side, have keySet) *form {
	var found *form
	for i := range forms {
		f := &forms[i]
		if f.command != c || f.from&from == 0 {
			continue
		}
		found = f
		if f.missing(have) == keyCommand {
			break
		}
	}
	return found
}

// missing is the first key that the form needs and have lacks; keyCommand for
// none.
func (f *form) missing(have keySet) key {
	for _, k := range f.needs {
		if !have.has(k) {
			return k
		}
	}
	return keyCommand
}

// takes is every key of the form.
func (f *form) takes() keySet { return setOf(f.needs...) | setOf(f.may...) }
