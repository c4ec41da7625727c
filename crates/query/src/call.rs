//! Kernels as DataFusion scalar functions.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility,
};
use kql::Type;

use crate::cell::{Cell, Reader, Writer, arrow_type};
use crate::kernels::{Kernel, Scratch};

/// Computes a cell from a row; shared by the partitions of a query.
pub(crate) type Compute =
    Arc<dyn for<'s, 'a> Fn(&'s [Cell<'a>], &'s Scratch) -> Cell<'a> + Send + Sync>;

/// One call site: what to compute, from which types, to which type.
pub(crate) struct Call {
    /// Name and settings: calls of the same name, types and settings are the same function.
    name: String,
    compute: Compute,
    args: Vec<Type>,
    result: Type,
    propagates_null: bool,
    signature: Signature,
}

impl Call {
    /// A call; `name` must tell apart calls that compute different things.
    pub(crate) fn new(
        name: impl Into<String>,
        compute: Compute,
        args: Vec<Type>,
        result: Type,
    ) -> Self {
        Self {
            name: name.into(),
            compute,
            signature: any_arguments(args.len(), Volatility::Immutable),
            args,
            result,
            propagates_null: false,
        }
    }

    /// A call of a plain kernel.
    pub(crate) fn kernel(
        name: impl Into<String>,
        kernel: Kernel,
        args: Vec<Type>,
        result: Type,
    ) -> Self {
        Self::new(name, Arc::new(kernel), args, result)
    }

    /// A null argument makes the answer null without asking the kernel.
    pub(crate) fn propagating_null(mut self) -> Self {
        self.propagates_null = true;
        self
    }

    /// Each evaluation may answer otherwise.
    pub(crate) fn volatile(mut self) -> Self {
        self.signature = any_arguments(self.args.len(), Volatility::Volatile);
        self
    }

    /// The expression that applies it.
    pub(crate) fn on(self, args: Vec<Expr>) -> Expr {
        ScalarUDF::new_from_impl(self).call(args)
    }

    /// Applies it to arrays of its argument types.
    pub(crate) fn apply(&self, args: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        let readers: Vec<Reader<'_>> = args
            .iter()
            .zip(&self.args)
            .map(|(array, kusto)| Reader::new(array, *kusto))
            .collect::<Result<_>>()?;
        let fixed: Vec<bool> = args.iter().map(|array| array.len() == 1 && rows != 1).collect();
        let scratch = Scratch::default();
        let mut writer = Writer::new(self.result, rows);
        let mut cells = Vec::with_capacity(readers.len());
        for row in 0..rows {
            cells.clear();
            cells.extend(
                readers
                    .iter()
                    .zip(&fixed)
                    .map(|(reader, fixed)| reader.get(if *fixed { 0 } else { row })),
            );
            if self.propagates_null && cells.iter().any(Cell::is_null) {
                writer.push(&Cell::Null);
            } else {
                writer.push(&(self.compute)(&cells, &scratch));
            }
        }
        Ok(writer.finish())
    }
}

/// A signature that takes whatever comes: the plan is already typed.
pub(crate) fn any_arguments(count: usize, volatility: Volatility) -> Signature {
    match count {
        0 => Signature::new(TypeSignature::Nullary, volatility),
        count => Signature::any(count, volatility),
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({:?}) -> {}", self.name, self.args, self.result)
    }
}

impl PartialEq for Call {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.args == other.args && self.result == other.result
    }
}

impl Eq for Call {}

impl Hash for Call {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.args.hash(state);
        self.result.hash(state);
    }
}

impl ScalarUDFImpl for Call {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(arrow_type(self.result))
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(&self.name, arrow_type(self.result), true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let is_constant = is_scalar && self.signature.volatility == Volatility::Immutable;
        let rows = if is_constant { 1 } else { args.number_rows };
        let arrays = args
            .args
            .iter()
            .map(|arg| match arg {
                ColumnarValue::Array(array) => Ok(Arc::clone(array)),
                ColumnarValue::Scalar(scalar) => scalar.to_array_of_size(1),
            })
            .collect::<Result<Vec<_>>>()?;
        let out = self.apply(&arrays, rows)?;
        if is_constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&out, 0)?));
        }
        Ok(ColumnarValue::Array(out))
    }
}
