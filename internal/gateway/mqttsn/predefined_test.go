package mqttsn

import (
	"strings"
	"testing"
)

// readPredefined makes the topics of a file.
func readPredefined(t *testing.T, content string, list ...Predefined) (*predefinedTopics, error) {
	t.Helper()
	topics := Topics{Predefined: list}
	if err := topics.PredefinedFile.ReadFile("topics", []byte(content)); err != nil {
		return nil, err
	}
	return newPredefinedTopics(&topics)
}

func TestPredefinedTopicsOfEveryForm(t *testing.T) {
	for name, content := range map[string]string{
		"clients": `
---
# predefined topics
dev:
  1: site/dev/data
  4: site/dev/only
"*":
  1: site/any/data
  2: site/any/config
`,
		"list": `
- {id: 1, topic: site/dev/data, client: dev}
- {id: 4, topic: site/dev/only, client: dev}
- id: 1
  topic: site/any/data
- {id: 2, topic: site/any/config, client: "*"}
`,
		"JSON": `[{"id": 1, "topic": "site/dev/data", "client": "dev"}, {"id": 4, "topic": "site/dev/only", "client": "dev"},
{"id": 1, "topic": "site/any/data"}, {"id": 2, "topic": "site/any/config"}]`,
		"CSV": `# ClientID, TopicName, TopicID

dev, site/dev/data, 1
dev,site/dev/only,4
COMMON, site/any/data, 1
*, site/any/config, 2
`,
	} {
		t.Run(name, func(t *testing.T) {
			p, err := readPredefined(t, content)
			if err != nil {
				t.Fatal(err)
			}
			for _, tt := range []struct {
				client string
				id     uint16
				topic  string // "" if there is none
			}{
				{"dev", 1, "site/dev/data"},
				{"dev", 2, "site/any/config"},
				{"dev", 3, ""},
				{"dev", 4, "site/dev/only"},
				{"other", 1, "site/any/data"},
				{"other", 2, "site/any/config"},
				{"other", 4, ""},
			} {
				topic, ok := p.name(tt.client, tt.id)
				if topic != tt.topic || ok != (tt.topic != "") {
					t.Errorf("%d of %s is %q", tt.id, tt.client, topic)
				}
				if id, ok := p.id(tt.client, tt.topic); tt.topic != "" && (!ok || id != tt.id) {
					t.Errorf("%s of %s is %d", tt.topic, tt.client, id)
				}
			}
			if id, ok := p.id("dev", "site/any/data"); ok {
				t.Errorf("what everybody means by %d is not what dev does", id)
			}
			for id, want := range map[uint16]bool{1: true, 2: true, 3: false, 4: true} {
				if p.reserved(id) != want {
					t.Errorf("reserved(%d) is %v", id, !want)
				}
			}
		})
	}
}

func TestPredefinedTopicsThatAreWrong(t *testing.T) {
	for content, want := range map[string]string{
		"dev, a/b, 0":                      "topics.predefined_file: topics:1: id 0 is not between 1 and 65534",
		"\n# x\ndev, a/b, 65535":           "topics.predefined_file: topics:3: id 65535 is not between 1 and 65534",
		"dev, a/b, 65536":                  `topics:1: id "65536" is not between 1 and 65534`,
		"dev, a/b, 1\nb, 2":                "topics:2: want client, topic, id",
		"dev, a/b, 1\n, a/b, 2":            "topics:2: there is no client; * is everybody",
		"dev, a/b, 1\ndev, a/c, 1":         `topics:2: id 1 is that of "a/b" already`,
		"dev, a/+, 1":                      `topics:1: "a/+" is no topic to publish to`,
		"dev, , 1":                         `topics:1: "" is no topic to publish to`,
		"dev:\n  x: a/b":                   `topics:2: id "x" is not between 1 and 65534`,
		"dev:\n  1: a/b\n  1: a/c":         `topics:3: id 1 is that of "a/b" already`,
		"dev:\n  1: [a]":                   "topics:2: want a topic for id 1",
		"dev: a/b":                         `topics:1: want identifiers with topics for "dev"`,
		"dev":                              "topics:1: want a list of topics, clients with topics, or lines of client, topic, id",
		"- {id: 1, topic: a, name: x}":     `topics:1: unknown key "name"; there are id, topic and client`,
		"- {id: 1, topic: [a]}":            `topics:1: want a single value for "topic"`,
		"- {topic: a}":                     `topics:1: id "" is not between 1 and 65534`,
		"- a":                              "topics:1: want id, topic and perhaps client",
		"dev:\n  1: a\n 2: b":              "topics: yaml: line 2: ",
		"a,b,x\na,b,y\n" + "a,b,-1\n" + "": `topics:3: id "-1"`,
	} {
		if _, err := readPredefined(t, content); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", content, err, want)
		}
	}
	_, err := readPredefined(t, "*, a/b, 7", Predefined{ID: 7, Topic: "a/c"}, Predefined{ID: 0, Topic: "x"})
	for _, want := range []string{`topics.predefined_file: topics:1: id 7 is that of "a/c" already`, "topics.predefined[1]: id 0 is not"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestNoPredefinedTopics(t *testing.T) {
	for _, content := range []string{"", "# nothing\n", "---\n", "{}", "[]"} {
		if p, err := readPredefined(t, content); p != nil || err != nil {
			t.Errorf("%q: %v, %v", content, p, err)
		}
	}
	var p *predefinedTopics
	if _, ok := p.name("dev", 1); ok || p.reserved(1) {
		t.Error("nothing knows a topic")
	}
	if _, ok := p.id("dev", "a"); ok {
		t.Error("nothing knows an identifier")
	}
}

func TestTopicWithSeveralPredefinedIdentifiersGoesByTheLowest(t *testing.T) {
	p, err := readPredefined(t, "*, a/b, 9\n*, a/b, 3\n*, a/b, 5")
	if err != nil {
		t.Fatal(err)
	}
	if id, ok := p.id("dev", "a/b"); !ok || id != 3 {
		t.Errorf("%d, %v", id, ok)
	}
}

func FuzzPredefinedFile(f *testing.F) {
	f.Add([]byte("dev, a/b, 1"))
	f.Add([]byte("dev: {1: a/b}"))
	f.Add([]byte("- {id: 1, topic: a/b}"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		t := Topics{}
		if t.PredefinedFile.ReadFile("topics", b) == nil {
			_, _ = newPredefinedTopics(&t)
		}
	})
}
