package check

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	_ "github.com/kedacore/keda/v2/pkg/scalers/scalersconfig" // of the program below
	"k8s.io/apimachinery/pkg/runtime"
)

// What reads a trigger's metadata with what KEDA itself reads it with.
const kedaMain = `package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/kedacore/keda/v2/pkg/scalers/scalersconfig"
)

func main() {
	var triggers []struct{ Metadata, Secret map[string]string }
	if err := json.NewDecoder(os.Stdin).Decode(&triggers); err != nil {
		panic(err)
	}
	said := []string{}
	for _, trigger := range triggers {
		config := scalersconfig.ScalerConfig{TriggerMetadata: trigger.Metadata, AuthParams: trigger.Secret}
		if err := config.TypedConfig(&kafkaMetadata{}); err != nil {
			said = append(said, err.Error())
		} else {
			said = append(said, "")
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
		panic(err)
	}
}

`

type trigger struct{ Metadata, Secret map[string]string }

// kedaSays asks KEDA's own parser of the trigger `kafka`, and gives what is wrong with each
// trigger. It is private to KEDA's package, which needs the libraries of every cloud, so that part
// of its source is compiled for itself.
func kedaSays(t *testing.T, triggers []trigger) []string {
	t.Helper()
	found, err := exec.Command("go", "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", "github.com/kedacore/keda/v2").Output()
	if err != nil {
		t.Fatal(err)
	}
	files := token.NewFileSet()
	source, err := parser.ParseFile(files, filepath.Join(strings.TrimSpace(string(found)), "pkg/scalers/kafka_scaler.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	program := bytes.NewBufferString(kedaMain)
	for _, declaration := range source.Decls {
		if !isOfTheMetadata(declaration) {
			continue
		}
		if err := format.Node(program, files, declaration); err != nil {
			t.Fatal(err)
		}
		program.WriteString("\n\n")
	}
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, program.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	asked, err := json.Marshal(triggers)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command("go", "run", "-mod=readonly", file)
	command.Stdin, command.Stderr = bytes.NewReader(asked), os.Stderr
	answer, err := command.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, program)
	}
	said := []string{}
	if err := json.Unmarshal(answer, &said); err != nil || len(said) != len(triggers) {
		t.Fatalf("%v: %s", err, answer)
	}
	return said
}

// The constants, the type and what checks it, but not its two fields that a client of Kafka fills.
func isOfTheMetadata(declaration ast.Decl) bool {
	checks := []string{"Validate", "parsePartitionLimitation", "parseTLS", "parseSASL", "parseOAuthParams", "parseGSSAPIParams"}
	types := []string{"kafkaMetadata", "offsetResetPolicy", "kafkaSaslType", "kafkaSaslOAuthTokenProvider"}
	switch declaration := declaration.(type) {
	case *ast.FuncDecl:
		return slices.Contains(checks, declaration.Name.Name)
	case *ast.GenDecl:
		if declaration.Tok == token.CONST {
			return true
		}
		kind, isType := declaration.Specs[0].(*ast.TypeSpec)
		if !isType || !slices.Contains(types, kind.Name.Name) {
			return false
		}
		if fields, isStruct := kind.Type.(*ast.StructType); isStruct {
			fields.Fields.List = slices.DeleteFunc(fields.Fields.List, func(field *ast.Field) bool {
				_, isOfAPackage := field.Type.(*ast.SelectorExpr)
				return isOfAPackage
			})
		}
		return true
	}
	return false
}

// The trigger among objects, with what its Secret has by the keys that docs and values.yaml name.
func triggerOf(t *testing.T, objects []runtime.Object) trigger {
	t.Helper()
	given := map[string]string{
		"username": "stocks", "password": "word", "ca.pem": "-----", "oauth-token-endpoint-uri": "https://tokens.invalid/token",
	}
	found, secret, references := trigger{}, map[string]string{}, false
	for _, object := range objects {
		switch object := object.(type) {
		case *kedav1alpha1.ScaledObject:
			found.Metadata = object.Spec.Triggers[0].Metadata
			references = object.Spec.Triggers[0].AuthenticationRef != nil
		case *kedav1alpha1.TriggerAuthentication:
			for _, parameter := range object.Spec.SecretTargetRef {
				value, isThere := given[parameter.Key]
				if !isThere {
					t.Errorf("KEDA's Secret has no key %s", parameter.Key)
				}
				secret[parameter.Parameter] = value
			}
		}
	}
	if references != (len(secret) > 0) {
		t.Error("the trigger has a reference to no login, or a login has no reference")
	}
	found.Secret = secret
	return found
}

func TestKedaTakesEveryTriggerThatCanBeMade(t *testing.T) {
	var schema struct {
		Properties struct {
			Keda struct {
				Properties struct{ Sasl, TLS struct{ Enum []string } }
			}
		}
	}
	if err := json.Unmarshal([]byte(textOf(t, chartFolder+"/values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	logins, triggers := schema.Properties.Keda.Properties.Sasl.Enum, []trigger{}
	if len(logins) < 4 || len(schema.Properties.Keda.Properties.TLS.Enum) != 2 {
		t.Fatalf("the schema has %v", logins)
	}
	names := []string{"overlays/prod", "all that is", "no group", "no login at AWS"}
	triggers = append(triggers, triggerOf(t, overlay(t, "overlays/prod")), triggerOf(t, chartObjects(t, "all")))
	// Of these it must say something, or it was not asked.
	triggers = append(triggers,
		trigger{map[string]string{"bootstrapServers": "a:1", "consumerGroup": "", "sasl": "none"}, nil},
		trigger{map[string]string{"bootstrapServers": "a:1", "consumerGroup": "g", "sasl": "aws_msk_iam"}, nil},
	)
	for _, login := range logins {
		for _, tls := range schema.Properties.Keda.Properties.TLS.Enum {
			for _, secret := range []string{"keda-kafka", `""`} {
				values := "keda: { enabled: true, sasl: " + login + ", tls: " + tls + ", secret: " + secret + " }"
				objects, err := render("image: { registry: x }\nkafka: { brokers: x:9092 }\n" + values)
				if err != nil {
					t.Fatalf("%s: %v", values, err)
				}
				names, triggers = append(names, values), append(triggers, triggerOf(t, objects))
			}
		}
	}
	for index, said := range kedaSays(t, triggers) {
		if isWrong := index == 2 || index == 3; isWrong != (said != "") {
			t.Errorf("%s: KEDA says %q", names[index], said)
		}
	}
	values := "image: { registry: x }\nkafka: { brokers: 'SASL_SSL://a:9093, b:9093' }\nkeda: { enabled: true }\n"
	if servers := triggerOf(t, rendered(t, values)).Metadata["bootstrapServers"]; servers != "a:9093,b:9093" {
		t.Errorf("KEDA is sent to %s", servers)
	}
	for _, topic := range []string{"^trades.*", `"a,b"`} {
		values := "image: { registry: x }\nkafka: { brokers: x:9092, topic: " + topic + " }\narchive: { prefix: raw/%Y-%m-%d-%H/ }\n"
		if _, err := render(values); err != nil {
			t.Errorf("topic %s: %v", topic, err)
		}
		if _, err := render(values + "keda: { enabled: true }\n"); err == nil || !strings.Contains(err.Error(), "kafka.topic") {
			t.Errorf("KEDA counts topic %s: %v", topic, err)
		}
	}
}
