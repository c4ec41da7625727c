//! `parse_json(text)['a'][0]…` as one scan of the text.
//!
//! All paths a query takes through the same expression form a group; the first call over a batch
//! extracts every path of the group, the others find their column already there.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use kql::Type;

use crate::call::any_arguments;
use crate::cell::{Cell, Reader, Writer, arrow_type};
use crate::json::{Paths, Step};

/// Batches whose extractions are remembered; each partition works on one at a time.
const BATCHES_MAX: usize = 8;

/// The paths that a query takes through one text.
#[derive(Debug, Default)]
pub(crate) struct PathGroup {
    paths: Mutex<Vec<Vec<Step>>>,
    compiled: OnceLock<(Paths, usize)>,
    batches: Mutex<VecDeque<(ArrayRef, Vec<ArrayRef>)>>,
}

impl PathGroup {
    /// The expression that follows a path through `source`, a string.
    pub(crate) fn extract(self: &Arc<Self>, source: Expr, path: Vec<Step>) -> Expr {
        let slot = {
            let mut paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
            paths.iter().position(|known| *known == path).unwrap_or_else(|| {
                paths.push(path.clone());
                paths.len() - 1
            })
        };
        let call = Extract {
            group: Arc::clone(self),
            slot,
            path,
            signature: any_arguments(1, Volatility::Immutable),
        };
        ScalarUDF::new_from_impl(call).call(vec![source])
    }

    fn columns(&self, source: &ArrayRef) -> Result<Vec<ArrayRef>> {
        let lock = || self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, columns)) = lock().iter().find(|(known, _)| Arc::ptr_eq(known, source)) {
            return Ok(columns.clone());
        }
        let (paths, count) = self.compiled.get_or_init(|| {
            let paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
            (Paths::new(&paths), paths.len())
        });
        let columns = scan(paths, *count, source)?;
        let mut batches = lock();
        if batches.len() == BATCHES_MAX {
            batches.pop_front();
        }
        batches.push_back((Arc::clone(source), columns.clone()));
        Ok(columns)
    }
}

fn scan(paths: &Paths, count: usize, source: &ArrayRef) -> Result<Vec<ArrayRef>> {
    let reader = Reader::new(source, Type::String)?;
    let mut writers: Vec<Writer> =
        (0..count).map(|_| Writer::new(Type::Dynamic, source.len())).collect();
    for row in 0..source.len() {
        let cell = reader.get(row);
        let found = paths.extract(cell.str());
        for (slot, writer) in writers.iter_mut().enumerate() {
            let value = found.as_ref().and_then(|found| found[slot].as_deref());
            writer.push(&value.map_or(Cell::Null, Cell::dynamic));
        }
    }
    Ok(writers.into_iter().map(Writer::finish).collect())
}

#[derive(Debug)]
struct Extract {
    group: Arc<PathGroup>,
    slot: usize,
    path: Vec<Step>,
    signature: Signature,
}

impl PartialEq for Extract {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for Extract {}

impl Hash for Extract {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.path.hash(state);
    }
}

impl ScalarUDFImpl for Extract {
    fn name(&self) -> &str {
        "json_path"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(arrow_type(Type::Dynamic))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let source = match &args.args[0] {
            ColumnarValue::Array(array) => Arc::clone(array),
            ColumnarValue::Scalar(scalar) => scalar.to_array_of_size(args.number_rows)?,
        };
        let columns = self.group.columns(&source)?;
        match columns.get(self.slot) {
            Some(column) => Ok(ColumnarValue::Array(Arc::clone(column))),
            None => exec_err!("a path was added after the first batch"),
        }
    }
}
