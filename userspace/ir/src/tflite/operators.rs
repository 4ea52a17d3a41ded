//! Operators of a subgraph: codes, operands and their order.

use std::borrow::Cow;

use super::budget::Budget;
use super::{OpFault, ReadError, TensorFault, names, options, schema};
use crate::arity::arity;
use crate::flatbuffer::{Table, Tables};
use crate::graph::{Graph, Node, TensorId};
use crate::op::OpKind;
use cranelift_entity::{EntityRef, PrimaryMap};

/// What a tensor is before the operator being read runs.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Undefined,
    Input,
    Constant,
    Variable,
    Produced,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::Undefined => "undefined",
            Role::Input => "a graph input",
            Role::Constant => "a constant",
            Role::Variable => "a variable",
            Role::Produced => "the result of an operator",
        }
    }
}

/// Reads all operators of `subgraph` into `graph`, whose tensors, inputs and outputs are complete.
pub(super) fn read(
    model: &Table<'_>,
    subgraph: &Table<'_>,
    subgraphs: usize,
    graph: &mut Graph,
    budget: &mut Budget,
) -> Result<(), ReadError> {
    let codes = model.tables(schema::model::OPERATOR_CODES, "OperatorCode")?;
    let operators = subgraph.tables(schema::subgraph::OPERATORS, "Operator")?;
    let mut roles = initial_roles(graph)?;
    budget.charge(operators.len().saturating_mul(size_of::<Node>()))?;
    graph.reserve_nodes(operators.len());
    for (op, table) in operators.iter().enumerate() {
        let table = table?;
        let fail = |name: &str, fault| ReadError::Op {
            op,
            name: name.to_owned(),
            fault,
        };
        let name = operator_name(&codes, &table).map_err(|fault| fail("", fault))?;
        charge(&table, &name, budget)?;
        let node = node(&table, &name, subgraphs, graph).map_err(|fault| fail(&name, fault))?;
        order(&node, &mut roles).map_err(|fault| fail(&name, fault))?;
        if let OpKind::DetectionPostProcess(params) = &node.kind {
            options::shape_detections(params, &node.outputs, graph);
        }
        graph.push(node);
    }
    for &id in &graph.outputs {
        if roles[id] == Role::Undefined {
            return Err(ReadError::OutputNotProduced {
                tensor: id.index(),
                name: graph.tensor(id).name.clone(),
            });
        }
    }
    Ok(())
}

fn initial_roles(graph: &Graph) -> Result<PrimaryMap<TensorId, Role>, ReadError> {
    let role = |tensor: &crate::Tensor| match (tensor.is_constant(), tensor.variable) {
        (true, _) => Role::Constant,
        (false, true) => Role::Variable,
        (false, false) => Role::Undefined,
    };
    let mut roles: PrimaryMap<_, _> = graph.tensors.values().map(role).collect();
    for &id in &graph.inputs {
        let role = &mut roles[id];
        // A variable may be listed as an input of the graph; it is none that a caller gives.
        if *role != Role::Undefined {
            return Err(ReadError::Tensor {
                tensor: id.index(),
                name: graph.tensor(id).name.clone(),
                fault: TensorFault::Role {
                    first: role.name(),
                    second: Role::Input.name(),
                },
            });
        }
        *role = Role::Input;
    }
    Ok(roles)
}

/// Accounts for what an operator takes in memory and in time to look at.
fn charge(table: &Table<'_>, name: &str, budget: &mut Budget) -> Result<(), ReadError> {
    let inputs = table.vector::<i32>(schema::operator::INPUTS)?.len();
    let outputs = table.vector::<i32>(schema::operator::OUTPUTS)?.len();
    let custom = table.bytes(schema::operator::CUSTOM_OPTIONS)?.len();
    budget.charge(inputs * size_of::<Option<TensorId>>())?;
    budget.charge(outputs * size_of::<TensorId>())?;
    budget.charge(custom + name.len())
}

fn operator_name<'a>(codes: &Tables<'a>, table: &Table<'_>) -> Result<Cow<'a, str>, OpFault> {
    let index = table.get(schema::operator::OPCODE_INDEX, 0u32)?;
    let code = codes.get(index as usize).ok_or(OpFault::NoOperatorCode {
        index,
        codes: codes.len(),
    })??;
    let old = code.get(schema::operator_code::DEPRECATED_BUILTIN_CODE, 0i8)?;
    let new = code.get(schema::operator_code::BUILTIN_CODE, 0i32)?;
    // Writers before 3a fill only the byte, later ones both; the greater of the two holds.
    let builtin = new.max(i32::from(old));
    if builtin == names::CUSTOM {
        return Ok(code.string(schema::operator_code::CUSTOM_CODE)?);
    }
    match names::builtin_name(builtin) {
        Some(name) => Ok(Cow::Borrowed(name)),
        None => Err(OpFault::UnknownCode { code: builtin }),
    }
}

fn node(table: &Table<'_>, name: &str, subgraphs: usize, graph: &Graph) -> Result<Node, OpFault> {
    const CONTROL_FLOW: [&str; 7] = [
        "CALL",
        "CALL_ONCE",
        "IF",
        "WHILE",
        "STABLEHLO_CASE",
        "STABLEHLO_COMPOSITE",
        "STABLEHLO_WHILE",
    ];
    if CONTROL_FLOW.contains(&name) {
        return Err(OpFault::ControlFlow { subgraphs });
    }
    let tensors = graph.tensors.len();
    let known = |tensor: i32| usize::try_from(tensor).is_ok_and(|t| t < tensors);
    let input = |(index, tensor)| match tensor {
        -1 => Ok(None),
        _ if known(tensor) => Ok(Some(TensorId::from_u32(tensor as u32))),
        _ => Err(OpFault::Input {
            index,
            tensor,
            tensors,
        }),
    };
    let output = |(index, tensor)| match known(tensor) {
        true => Ok(TensorId::from_u32(tensor as u32)),
        false => Err(OpFault::Output {
            index,
            tensor,
            tensors,
        }),
    };
    let inputs = table.vector::<i32>(schema::operator::INPUTS)?;
    let outputs = table.vector::<i32>(schema::operator::OUTPUTS)?;
    let mut node = Node {
        kind: OpKind::Reshape,
        inputs: inputs
            .iter()
            .enumerate()
            .map(input)
            .collect::<Result<_, _>>()?,
        outputs: outputs
            .iter()
            .enumerate()
            .map(output)
            .collect::<Result<_, _>>()?,
    };
    node.kind = options::kind(name, table, &node, graph)?;
    counts(&node)?;
    Ok(node)
}

/// Checks the numbers of operands and results.
fn counts(node: &Node) -> Result<(), OpFault> {
    let Some(arity) = arity(&node.kind) else {
        return Ok(());
    };
    if !arity.inputs.contains(&node.inputs.len()) {
        return Err(OpFault::InputCount {
            found: node.inputs.len(),
            min: *arity.inputs.start(),
            max: *arity.inputs.end(),
        });
    }
    if !arity.outputs.contains(&node.outputs.len()) {
        return Err(OpFault::OutputCount {
            found: node.outputs.len(),
            expected: *arity.outputs.start(),
        });
    }
    let needed = node.inputs.iter().take(arity.optional_from);
    match needed.enumerate().find(|(_, input)| input.is_none()) {
        Some((index, _)) => Err(OpFault::InputOmitted { index }),
        None => Ok(()),
    }
}

/// Checks that operands are there when the operator runs and that its results are new.
fn order(node: &Node, roles: &mut PrimaryMap<TensorId, Role>) -> Result<(), OpFault> {
    for (index, id) in node.inputs.iter().enumerate() {
        let Some(id) = *id else { continue };
        if roles[id] == Role::Undefined {
            let tensor = id.index();
            return Err(OpFault::NotYetProduced { index, tensor });
        }
    }
    for (index, &id) in node.outputs.iter().enumerate() {
        if roles[id] != Role::Undefined {
            return Err(OpFault::OutputTaken {
                index,
                tensor: id.index(),
                role: roles[id].name(),
            });
        }
        roles[id] = Role::Produced;
    }
    Ok(())
}
