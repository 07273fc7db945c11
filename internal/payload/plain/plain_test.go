package plain_test

import (
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/payload"
	"github.com/iotctl/iotctl/internal/payload/payloadtest"
	"github.com/iotctl/iotctl/internal/payload/plain"
)

func sample(in, text string) payloadtest.Sample {
	return payloadtest.Sample{Payload: []byte(in), Text: text}
}

func TestFormats(t *testing.T) {
	spaced := sample(" {\"a\": 1.00,\n\"b\":[]} ", `{"a":1.00,"b":[]}`)
	spaced.Loose = true
	for f, samples := range map[*payload.Format][]payloadtest.Sample{
		ref(plain.JSON()):     {sample(`{"z":1,"a":12345678901234567890.10}`, ""), sample(`"x"`, `"x"`), spaced},
		ref(plain.Text()):     {sample("21.5 °C", "21.5 °C"), sample("", "")},
		ref(plain.Hex()):      {sample("\x00\xffab", "00ff6162"), sample("", "")},
		ref(plain.Base64()):   {sample("\x00\xffab", "AP9hYg=="), sample("", "")},
		ref(plain.UnHex()):    {sample("00 ff:61-62\n", "")},
		ref(plain.UnBase64()): {sample("AP9hYg==", ""), sample("AP\n9hYg", ""), sample("_-8", "")},
	} {
		t.Run(f.Name, func(t *testing.T) { payloadtest.Run(t, *f, "", samples...) })
	}
}

func ref(f payload.Format) *payload.Format { return &f }

func TestWhatIsWrongNamesTheByte(t *testing.T) {
	for _, tt := range []struct {
		f        payload.Format
		in, want string
	}{
		{plain.UnHex(), "00 f", "byte 4: the second digit of a byte is missing"},
		{plain.UnHex(), "00x1", "byte 2: 'x' is no hex digit"},
		{plain.UnHex(), "0 0", "byte 1: ' ' is no hex digit"},
		{plain.UnBase64(), "AP\n9h*g==", "byte 5: no Base64"},
		{plain.Text(), "ab\xff", "byte 2: 0xff is no UTF-8"},
		{plain.JSON(), `{"a":1,}`, "byte 7: '}' where a name in quotes is to be"},
		{plain.JSON(), `[1 2]`, "byte 3: '2' where a comma or ] is to be"},
		{plain.JSON(), ``, "byte 0: the end where a value is to be"},
	} {
		c, err := tt.f.New("")
		if err != nil {
			t.Fatal(err)
		}
		err = c.Decode(&payload.Content{Bytes: []byte(tt.in)})
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s of %q: %v, want %s", tt.f.Name, tt.in, err, tt.want)
		}
	}
}

func FuzzJSON(f *testing.F) { payloadtest.Fuzz(f, plain.JSON(), "", sample(`{"a":[1.0,"é"]}`, "")) }

func FuzzUnBase64(f *testing.F) { payloadtest.Fuzz(f, plain.UnBase64(), "", sample("AP9hYg==", "")) }
